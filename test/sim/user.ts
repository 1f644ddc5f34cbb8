/** What the users of own and shared directories have in common. */
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { InodeNumber, Vfs } from '../../src/vfs/vfs.js';
import type { GridReader } from './grid-reader.js';
import type { Oracle } from './oracle.js';
import { processDied, type SimNode } from './sim-node.js';

export interface UserWorld {
  readonly oracle: Oracle;
  /** The grid as somebody reads it who has nothing but the capability, with some servers away. */
  readonly reader: () => GridReader;
  readonly violate: (invariant: string, what: string) => void;
  readonly note: (line: string) => void;
}

export abstract class User {
  readonly node: SimNode;
  protected readonly world: UserWorld;
  root: InodeNumber = 0 as InodeNumber;

  constructor(node: SimNode, world: UserWorld) {
    this.node = node;
    this.world = world;
  }

  protected get vfs(): Vfs {
    return this.node.vfs;
  }

  protected alive<Value>(work: Promise<Value>): Promise<Value> {
    return this.node.whileAlive(work);
  }

  /** A text of this size that nobody else writes, as long as it is not too short. */
  protected newContent(label: string, size: number): string {
    return `PLAIN ${label};`.repeat(1 + size / 10).slice(0, size);
  }

  /** An error that says what is wrong, and not that the program is. */
  protected checkError(what: string, error: unknown): void {
    if (!isTahoeError(error)) {
      if (error === processDied) throw error;
      this.world.violate('typed errors', `${what}: ${error instanceof Error ? error.stack : String(error)}`);
    } else if (isTahoeError(error, 'internal', 'protocol', 'corrupt')) {
      this.world.violate('typed errors', `${what}: ${error.kind}: ${error.stack}`);
    }
  }
}
