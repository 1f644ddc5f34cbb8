/**
 * Several nodes on one directory, each with a user who acts on what that node shows. Every content is written once and
 * names its writer, so that at the end each must either be somewhere in the tree, under whatever name, or have been
 * replaced or removed by a user whose node showed it to them.
 */
import type { ExecutionContext } from 'ava';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import type { Fault } from './memory-storage-server.js';
import {
  bytes,
  closeHandle,
  drained,
  eventually,
  newNode,
  readWrite,
  snapshotTree,
  type TestNode,
  text,
  VfsGrid,
  type VfsGridOptions,
} from './vfs-grid.js';

export class Race {
  readonly #t: ExecutionContext<unknown>;
  readonly #random: () => number;
  readonly grid: VfsGrid;
  readonly users: User[] = [];
  /** Contents that were closed: this node keeps them whatever happens. */
  readonly kept = new Set<string>();
  /** Contents that a user saw and replaced or removed, with who did. */
  readonly consumed = new Map<string, string>();
  readonly story: string[] = [];
  rootCap = '';

  constructor(t: ExecutionContext<unknown>, seed: number, options: VfsGridOptions) {
    this.#t = t;
    this.#random = seeded(seed);
    this.grid = new VfsGrid(t, options);
  }

  random(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.random(items.length)]!;
  }

  async start(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      // one looks often, the others act on what was there long ago
      const node = await this.grid.node({ settings: { freshnessMs: index === 0 ? 20 : 3000 } });
      if (index === 0) this.rootCap = await node.vfs.createUnlinkedDirectory();
      this.users.push(new User(this, node));
    }
    for (const user of this.users) await user.open();
  }

  /** One fault in so many requests, until further notice. */
  faults(oneIn: number): void {
    const kinds: readonly Fault[] = ['fail', 'lose-answer', { delayMs: 5 }, { delayMs: 40 }];
    this.grid.plan(() => (oneIn > 0 && this.random(oneIn) === 0 ? this.pick(kinds) : undefined));
  }

  async end(): Promise<void> {
    this.faults(0);
    for (const user of this.users) user.node.beforeRequest = () => {};
    await Promise.all(this.users.map(({ node }) => drained(node)));
    const reader = await this.grid.node();
    const tree = await snapshotTree(reader.vfs, (await reader.vfs.openRoot(this.rootCap)).inode);
    const there = new Set(Object.values(tree).map((content) => content.replace(/^file /, '')));
    const lost = [...this.kept].filter((content) => !there.has(content) && !this.consumed.has(content));
    const tail = () =>
      [...this.story, ...Object.entries(tree).map(([path, content]) => `${path}: ${content}`)].join('\n');
    this.#t.deepEqual(lost, [], lost.length > 0 ? tail() : undefined);
    // after a while everybody sees the same
    for (const { node } of this.users) {
      await eventually(async () => {
        const own = await snapshotTree(node.vfs, (await node.vfs.openRoot(this.rootCap)).inode).catch(() => ({}));
        return JSON.stringify(own) === JSON.stringify(tree);
      }, 20_000);
      this.#t.deepEqual(
        node.vfs.status().problems.filter(({ state }) => state.state !== 'conflict'),
        [],
      );
    }
  }
}

class User {
  readonly node: TestNode;
  readonly #race: Race;
  #written = 0;
  #isCut = false;
  root = 0 as InodeNumber;

  constructor(race: Race, node: TestNode) {
    this.#race = race;
    this.node = node;
  }

  async open(): Promise<void> {
    this.root = (await this.node.vfs.openRoot(this.#race.rootCap)).inode;
  }

  /** Does something; what is refused is refused. */
  async act(names: readonly string[]): Promise<void> {
    const race = this.#race;
    const action = race.pick([
      'write',
      'write',
      'write',
      'save',
      'move',
      'remove',
      'mkdir',
      'sync',
      'cut',
      'kill',
      'wait',
    ]);
    try {
      if (action === 'kill') return await this.#kill();
      if (action === 'cut') return this.#cut();
      if (action === 'wait') return await pause(race.random(60));
      const parent = await this.#directory(race.pick(['', '', 'd', 'd/e']));
      if (action === 'mkdir') await this.node.vfs.makeDirectory(parent, race.pick(['d', 'e']), newNode);
      else if (action === 'sync') await this.node.vfs.fsyncDirectory(parent);
      else if (action === 'write') await this.#write(parent, race.pick(names));
      else if (action === 'save') await this.#save(parent, race.pick(names));
      else if (action === 'move') await this.#move(parent, race.pick(names), race.pick(names));
      else await this.#remove(parent, race.pick(names));
    } catch (error) {
      if (!isTahoeError(error)) throw error;
      race.story.push(`${this.node.name} ${action} refused: ${error.kind}`);
    }
  }

  async #directory(path: string): Promise<InodeNumber> {
    let at = this.root;
    for (const name of path.split('/')) if (name !== '') at = (await this.node.vfs.lookup(at, name)).inode;
    return at;
  }

  /** What the user of this node sees under a name. */
  async #seen(parent: InodeNumber, name: string): Promise<string | undefined> {
    for (let attempt = 0; ; attempt++) {
      try {
        const { inode } = await this.node.vfs.lookup(parent, name);
        const handle = await this.node.vfs.open(inode, { read: true, write: false });
        try {
          return text(await handle.read(0, 1000));
        } finally {
          await handle.release();
        }
      } catch (error) {
        if (isTahoeError(error, 'not-found')) return undefined;
        if (attempt > 2 || !isTahoeError(error, 'uncoordinated-write')) throw error;
      }
    }
  }

  /** The operation is meant for what is seen now, and for what comes there while it lasts. */
  async #consuming<Result>(parent: InodeNumber, name: string, what: string, operation: () => Promise<Result>) {
    const seen = new Set([await this.#seen(parent, name)]);
    let isChanged = false;
    const stop = this.node.vfs.watch((change) => {
      if (change.what !== 'attributes') isChanged = true;
    });
    try {
      return await operation();
    } finally {
      stop();
      // what came there meanwhile is in the story, but whether it was seen is not known
      if (isChanged) this.#race.story.push(`${this.node.name} looked away`);
      for (const content of seen) if (content !== undefined) this.#race.consumed.set(content, what);
    }
  }

  #next(name: string): string {
    return `${this.node.name}-${++this.#written}-${name}`.padEnd(this.#race.random(2) * 100, '.');
  }

  async #write(parent: InodeNumber, name: string): Promise<void> {
    const content = this.#next(name);
    const what = `${this.node.name} writes ${content} to ${name}`;
    await this.#consuming(parent, name, what, async () => {
      const { handle } = await this.node.vfs.create(parent, name, newNode, { ...readWrite, truncate: true });
      try {
        await handle.write(0, bytes(content));
        await handle.flush();
        this.#keep(content, what);
        if (this.#race.random(3) === 0) await handle.fsync();
      } finally {
        await handle.release();
      }
    });
  }

  async #save(parent: InodeNumber, name: string): Promise<void> {
    const content = this.#next(name);
    const what = `${this.node.name} saves ${content} as ${name}`;
    const temporary = `.${content.slice(0, 20)}.tmp`;
    const { handle } = await this.node.vfs.create(parent, temporary, newNode, readWrite);
    await handle.write(0, bytes(content));
    await closeHandle(handle);
    this.#keep(content, what);
    await this.#consuming(parent, name, what, () =>
      this.node.vfs.rename({ parent, name: temporary }, { parent, name }, 'replace'),
    );
  }

  async #move(parent: InodeNumber, from: string, to: string): Promise<void> {
    if (from === to) return;
    const target = await this.#directory(this.#race.pick(['', 'd']));
    await this.#consuming(target, to, `${this.node.name} moves ${from} to ${to}`, () =>
      this.node.vfs.rename({ parent, name: from }, { parent: target, name: to }, 'replace'),
    );
    this.#race.story.push(`${this.node.name} moved ${from} to ${to}`);
  }

  async #remove(parent: InodeNumber, name: string): Promise<void> {
    const what = `${this.node.name} removes ${name}`;
    await this.#consuming(parent, name, what, () => this.node.vfs.unlink(parent, name));
    this.#race.story.push(what);
  }

  #keep(content: string, what: string): void {
    this.#race.kept.add(content);
    this.#race.story.push(what);
  }

  /** Some servers are out of reach for this node alone, or in reach again. */
  #cut(): void {
    this.#isCut = !this.#isCut;
    const away = new Set(this.#race.grid.reachable.filter(() => this.#race.random(2) === 0));
    this.node.beforeRequest = (_method, server) => {
      if (this.#isCut && away.has(server)) throw new TahoeError('cut off', { kind: 'unreachable', op: 'test' });
    };
  }

  async #kill(): Promise<void> {
    this.#race.story.push(`${this.node.name} is killed`);
    await this.node.killAndStart(this.#race.pick(['kill', 'power'] as const), () => 0.5);
    await this.open();
  }
}

function seeded(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
