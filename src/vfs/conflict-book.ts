/** What this node and another writer both changed: the list, and settling what is on it. */
import { TahoeError } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { Directory, DirtyName, Inode } from './inode.js';
import type { NameOperations } from './name-operations.js';
import { pathOf } from './sync-operations.js';
import type { Conflict, ConflictChoice, ConflictSide } from './vfs.js';

export class ConflictBook {
  readonly #core: VfsCore;
  readonly #names: NameOperations;

  constructor(core: VfsCore, names: NameOperations) {
    this.#core = core;
    this.#names = names;
  }

  list(): Conflict[] {
    return this.#open()
      .map(([directory, dirty]) => this.#describe(directory, dirty))
      .sort((a, b) => a.id - b.id);
  }

  /** See Vfs.resolveConflict. */
  async resolve(id: number, choice: ConflictChoice): Promise<void> {
    const found = this.#open().find(([, { change }]) => change === id);
    if (found === undefined)
      throw new TahoeError('no such conflict', { kind: 'not-found', op: 'vfs.resolve-conflict' });
    const [directory, dirty] = found;
    const { ledger } = this.#core;
    if (choice === 'theirs') {
      ledger.dropName(directory, dirty.name);
    } else if (choice === 'ours') {
      dirty.expected = directory.base?.entries.get(dirty.name)?.raw;
      dirty.conflict = undefined;
    } else {
      const at = { parent: directory.inode.number };
      await this.#names.rename({ ...at, name: dirty.name }, { ...at, name: `${dirty.name}.conflict` }, 'no-replace');
    }
    this.#core.notify({ what: 'entry', parent: directory.inode.number, name: dirty.name });
    await ledger.sync();
  }

  #open(): [Directory, DirtyName][] {
    return [...this.#core.tree.pending].flatMap((directory) =>
      [...directory.dirty.values()]
        .filter(({ conflict }) => conflict !== undefined)
        .map((dirty): [Directory, DirtyName] => [directory, dirty]),
    );
  }

  #describe(directory: Directory, { change, name, child, expected }: DirtyName): Conflict {
    const above = pathOf(directory.inode);
    return {
      id: change,
      kind: expected === undefined ? 'created' : 'changed',
      path: above === '/' ? `/${name}` : `${above}/${name}`,
      conflictPath: undefined,
      whenMs: this.#core.platform.clock.wallMs(),
      ours: child === undefined ? undefined : sideOf(child),
      theirs: undefined,
    };
  }
}

function sideOf({ kind, content, modified }: Inode): ConflictSide {
  return { kind, sizeBytes: content?.sizeBytes ?? 0, modified };
}
