/** What a run does: a list of steps, made from the seed. Plain data, so that a list can be shortened and kept. */
import type { ServerFault } from '../support/faulty-storage-server.js';
import type { SimConfig } from './config.js';
import { anyFault, type MessageKind } from './network.js';
import { Random } from './random.js';

/** Each node has a directory of its own, of which all is known at any time, and all share one. */
export type Operation =
  /** Create or open, write, close. `at` null: the whole content is replaced. */
  | { readonly do: 'write'; readonly path: string; readonly size: number; readonly at: number | null }
  /** The same without closing. */
  | { readonly do: 'hold'; readonly path: string; readonly size: number }
  /** On the n-th of the files held open. */
  | { readonly do: 'held-write' | 'held-flush' | 'held-close'; readonly which: number; readonly size: number }
  | { readonly do: 'truncate'; readonly path: string; readonly size: number }
  | { readonly do: 'unlink' | 'mkdir' | 'rmdir' | 'read' | 'list' | 'fsync' | 'fsync-directory'; readonly path: string }
  | {
      readonly do: 'rename';
      readonly path: string;
      readonly to: string;
      readonly mode: 'replace' | 'no-replace' | 'exchange';
    }
  | { readonly do: 'chmod'; readonly path: string; readonly mode: number }
  | { readonly do: 'symlink'; readonly path: string; readonly target: string };

export type Disturbance =
  | { readonly do: 'pause' }
  | { readonly do: 'outage'; readonly server: number; readonly ms: number; readonly how: 'refuse' | 'hang' }
  | {
      readonly do: 'partition';
      readonly node: number;
      readonly servers: readonly number[];
      readonly ms: number;
      readonly how: 'refuse' | 'hang';
    }
  | {
      readonly do: 'message';
      readonly node: number;
      readonly about: MessageKind;
      readonly fault: ServerFault;
      readonly count: number;
    }
  | { readonly do: 'disk-full'; readonly server: number; readonly ms: number }
  | { readonly do: 'slow'; readonly server: number; readonly ms: number; readonly addMs: number }
  | { readonly do: 'roll-back'; readonly server: number; readonly writes: number }
  /** In the middle of whatever goes on `afterMs` later; starts again after `downMs`. */
  | {
      readonly do: 'kill';
      readonly node: number;
      readonly how: 'kill' | 'power';
      readonly afterMs: number;
      readonly downMs: number;
    }
  | { readonly do: 'restart'; readonly node: number }
  | { readonly do: 'lose-disk'; readonly node: number; readonly downMs: number };

export type Step = { readonly gapMs: number } & (({ readonly node: number } & Operation) | Disturbance);

export interface Script {
  readonly seed: string;
  readonly config: string;
  readonly nodes: number;
  readonly noise: number;
  readonly steps: readonly Step[];
}

const fileNames = ['a', 'b', 'c', 'd'];
const directoryNames = ['p', 'q'];
/** There are only so many key pairs. */
const DIRECTORIES_MAX = 30;

export function makeScript(seed: string, steps: number, config: SimConfig): Script {
  const generator = new Generator(new Random(`script ${seed} ${config.name}`), config);
  const noise = generator.random.pick([0, config.noise, config.noise, 4 * config.noise]);
  return {
    seed,
    config: config.name,
    nodes: config.nodes,
    noise,
    steps: Array.from({ length: steps }, () => generator.step()),
  };
}

class Generator {
  readonly random: Random;
  readonly #config: SimConfig;
  #directories = 0;
  #diskLosses = 0;
  /** A node that is at work goes on with it for a while. */
  #node = 0;

  constructor(random: Random, config: SimConfig) {
    this.random = random;
    this.#config = config;
  }

  step(): Step {
    const { random } = this;
    const gapMs = random.chance(0.6)
      ? random.below(40)
      : random.chance(0.8)
        ? random.below(1500)
        : random.below(12_000);
    if (random.chance(0.13)) return { gapMs, ...this.#disturbance() };
    if (random.chance(0.3)) this.#node = random.below(this.#config.nodes);
    return { gapMs, node: this.#node, ...this.#operation() };
  }

  #operation(): Operation {
    const { random } = this;
    const isShared = this.#config.nodes > 1 && random.chance(0.4);
    return isShared ? this.#sharedOperation() : this.#ownOperation();
  }

  #sharedOperation(): Operation {
    const { random } = this;
    if (this.#config.sharesTrees === true && random.chance(0.25)) return this.#sharedTreeOperation();
    const path = this.#sharedPath();
    const kind = random.weighted({
      write: 40,
      partial: 8,
      truncate: 3,
      unlink: 8,
      rename: 10,
      read: 15,
      list: 4,
      fsync: 14,
      'fsync-directory': 3,
    });
    switch (kind) {
      case 'write':
        return { do: 'write', path, size: this.#size(16), at: null };
      case 'partial':
        return { do: 'write', path, size: this.#size(16), at: random.below(80) };
      case 'truncate':
        return { do: 'truncate', path, size: random.below(100) };
      case 'rename':
        return {
          do: 'rename',
          path,
          to: this.#sharedPath(),
          mode: 'replace',
        };
      case 'list':
      case 'fsync-directory':
        return { do: kind, path: path.slice(0, path.lastIndexOf('/')) };
      default:
        return { do: kind, path };
    }
  }

  #sharedTreeOperation(): Operation {
    const { random } = this;
    const path = this.#directory('/shared');
    const kind = random.weighted({ mkdir: 10, rmdir: 4, rename: 6 });
    if (kind === 'rename') return { do: kind, path, to: this.#directory('/shared'), mode: 'replace' };
    if (kind === 'mkdir' && ++this.#directories > DIRECTORIES_MAX) return { do: 'list', path: '/shared' };
    return { do: kind, path };
  }

  #sharedPath(): string {
    const { random } = this;
    const isBelow = random.chance(0.3);
    const above = !isBelow ? '/shared' : this.#config.sharesTrees === true ? this.#directory('/shared') : '/shared/p';
    return `${above}/${random.pick(fileNames)}`;
  }

  #ownOperation(): Operation {
    const { random } = this;
    const own = `/own${this.#node}`;
    const path = this.#ownPath(own);
    const kind = random.weighted({
      write: 30,
      partial: 10,
      truncate: 5,
      unlink: 8,
      mkdir: 7,
      rmdir: 4,
      rename: 16,
      chmod: 4,
      symlink: 2,
      read: 6,
      list: 2,
      fsync: 12,
      'fsync-directory': 4,
      hold: 4,
      'held-write': 4,
      'held-flush': 2,
      'held-close': 3,
      elsewhere: 4,
    });
    switch (kind) {
      case 'write':
        return { do: 'write', path, size: this.#size(0), at: null };
      case 'partial':
        return { do: 'write', path, size: this.#size(0), at: random.below(random.pick([30, 300, 3000])) };
      case 'truncate':
        return { do: 'truncate', path, size: random.below(random.pick([20, 200, 4000])) };
      case 'hold':
        return { do: 'hold', path, size: this.#size(0) };
      case 'held-write':
      case 'held-flush':
      case 'held-close':
        return { do: kind, which: random.below(4), size: this.#size(1) };
      case 'mkdir':
        if (++this.#directories > DIRECTORIES_MAX) return { do: 'list', path: own };
        return { do: 'mkdir', path: this.#directory(own) };
      case 'rmdir':
        return { do: 'rmdir', path: this.#directory(own) };
      case 'rename':
        return this.#rename(own);
      case 'chmod':
        return { do: 'chmod', path, mode: random.pick([0o600, 0o644, 0o755, 0o400]) };
      case 'symlink':
        return { do: 'symlink', path, target: `../${random.pick(fileNames)}` };
      case 'list':
        return { do: 'list', path: own };
      case 'fsync-directory':
        return { do: kind, path: random.chance(0.5) ? own : this.#directory(own) };
      case 'elsewhere':
        return { do: 'read', path: this.#ownPath(`/own${random.below(this.#config.nodes)}`) };
      default:
        return { do: kind, path };
    }
  }

  #rename(own: string): Operation {
    const { random } = this;
    const mode = random.weighted({ replace: 10, 'no-replace': 1, exchange: 1 });
    if (random.chance(0.3)) return { do: 'rename', path: this.#directory(own), to: this.#directory(own), mode };
    return { do: 'rename', path: this.#ownPath(own), to: this.#ownPath(own), mode };
  }

  #ownPath(own: string): string {
    const { random } = this;
    const above = random.chance(0.5) ? own : this.#directory(own);
    return `${above}/${random.pick(fileNames)}`;
  }

  #directory(top: string): string {
    const { random } = this;
    const first = `${top}/${random.pick(directoryNames)}`;
    return random.chance(0.3) ? `${first}/${random.pick(directoryNames)}` : first;
  }

  #size(least: number): number {
    const { random } = this;
    return random.chance(0.7) ? random.between(least, 55) : random.between(56, random.pick([200, 1500, 3000]));
  }

  #disturbance(): Disturbance {
    const { random } = this;
    const node = random.below(this.#config.nodes);
    const server = random.below(this.#config.servers);
    const how = random.chance(0.7) ? 'refuse' : 'hang';
    const ms = random.pick([300, 3000, 20_000, 60_000]);
    const kind = random.weighted({
      pause: 3,
      outage: 4,
      partition: 5,
      message: 12,
      'disk-full': 1,
      slow: 1,
      kill: 5,
      power: 6,
      restart: 2,
      'lose-disk': 1,
      'roll-back': this.#config.rollbacks > 0 ? 2 : 0,
    });
    switch (kind) {
      case 'outage':
        return { do: kind, server, ms, how };
      case 'partition':
        return { do: kind, node, servers: this.#someServers(), ms, how };
      case 'message':
        return {
          do: kind,
          node,
          about: random.pick(['slot-write', 'slot-write', 'slot-read', 'upload', 'download']),
          fault: anyFault(random),
          count: random.pick([1, 1, 2, 5]),
        };
      case 'disk-full':
        return { do: kind, server, ms };
      case 'slow':
        return { do: kind, server, ms, addMs: random.pick([100, 2000, 9000]) };
      case 'kill':
      case 'power':
        return {
          do: 'kill',
          node,
          how: kind,
          afterMs: random.below(random.pick([30, 300, 3000])),
          downMs: random.pick([0, 100, 30_000]),
        };
      case 'restart':
        return { do: kind, node };
      case 'lose-disk':
        if (++this.#diskLosses > 1) return { do: 'pause' };
        return { do: kind, node, downMs: random.pick([0, 5000]) };
      case 'roll-back':
        return { do: kind, server: random.below(this.#config.rollbacks), writes: random.between(1, 4) };
      default:
        return { do: 'pause' };
    }
  }

  #someServers(): number[] {
    const { random } = this;
    const share = random.pick([0.3, 0.5, 0.8, 1]);
    return Array.from({ length: this.#config.servers }, (_, index) => index).filter(() => random.chance(share));
  }
}
