/**
 * Several nodes on one directory, each with a user who acts on what that node shows. Every content is written once and
 * names its writer, so that at the end each must either be somewhere in the tree, under whatever name, or have been
 * replaced or removed by a user whose node showed it to them, as a look before the operation or the journal says.
 */
import { parseKnownCap } from '../../src/caps/cap.js';
import { parseDirectory } from '../../src/dirnode/packing.js';
import { fromHex } from '../../src/encoding/bytes.js';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import type { Cleanup } from './cleanup.js';
import type { Fault } from './memory-storage-server.js';
import {
  bytes,
  closeHandle,
  drainedWithin,
  eventually,
  newNode,
  readWrite,
  snapshotTree,
  type TestNode,
  text,
  VfsGrid,
  type VfsGridOptions,
} from './vfs-grid.js';

/** How long nodes may take to bring everything to the grid at the end, and to see the same. */
const SETTLE_MS = 60_000;

const looseEntries = { deepImmutable: false };

export interface RaceReport {
  readonly operations: number;
  /** Operations that were refused, by kind of error. */
  readonly refused: ReadonlyMap<string, number>;
  /** Versions of directories that were published side by side and merged. */
  readonly forks: number;
  /** Publishes that were not proven, and tried again on top of what somebody else had published. */
  readonly repeated: number;
  /** Changes that gave way to another one, or stood against a removal, by the rules. */
  readonly decided: number;
  /** UncoordinatedWriteErrors said in the log: each has a copy, and stands in the list of conflicts. */
  readonly conflicts: number;
  /** Contents that are nowhere, and that nobody has replaced or removed who saw them. */
  readonly lost: readonly string[];
  /** Of each node that shows something else than the grid, or does not go on: what it says. */
  readonly problems: readonly string[];
}

export class Race {
  readonly #random: () => number;
  readonly grid: VfsGrid;
  readonly users: User[] = [];
  /** Contents that were closed: this node keeps them whatever happens. */
  readonly kept = new Set<string>();
  /** Contents that a user saw and replaced or removed, with who did. */
  readonly consumed = new Map<string, string>();
  readonly story: string[] = [];
  readonly refused = new Map<string, number>();
  operations = 0;
  rootCap = '';

  constructor(scope: Cleanup, seed: number, options: VfsGridOptions) {
    this.#random = seeded(seed);
    this.grid = new VfsGrid(scope, { ...options, notesChanges: true });
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

  /** Everybody brings everything to the grid. What became of all contents is read by a node that has seen nothing. */
  async end(): Promise<RaceReport> {
    this.faults(0);
    for (const user of this.users) user.node.beforeRequest = () => {};
    await Promise.all(this.users.map(({ node }) => drainedWithin(node, SETTLE_MS)));
    const reader = await this.grid.node();
    const tree = await snapshotTree(reader.vfs, (await reader.vfs.openRoot(this.rootCap)).inode);
    const there = new Set(Object.values(tree).map((content) => content.replace(/^file /, '')));
    let lost = [...this.kept].filter((content) => !there.has(content) && !this.consumed.has(content));
    if (lost.length > 0) {
      const changed = await this.#changedKnowingly(reader);
      lost = lost.filter((content) => !changed.has(content));
    }
    if (lost.length > 0)
      this.story.push(...Object.entries(tree).map(([path, content]) => `at the end ${path}: ${content}`));
    const lines = this.users.flatMap(({ node }) => node.lines);
    const said = (...beginnings: readonly string[]) =>
      lines.filter((line) => beginnings.some((beginning) => line.startsWith(beginning))).length;
    return {
      operations: this.operations,
      refused: this.refused,
      forks: said('versions of a directory that were published side by side are merged'),
      repeated: said('publish not proven; it will be tried again'),
      decided: said('a change was given up:', 'a name that another writer has removed stays:'),
      conflicts: said('UncoordinatedWriteError:'),
      lost,
      problems: (await Promise.all(this.users.map(({ node }) => this.#problemsOf(node, tree)))).flat(),
    };
  }

  /** What came to a node between a look of its user and the operation that took its place. */
  async #changedKnowingly(reader: TestNode): Promise<Set<string>> {
    const contents = new Set<string>();
    const entries = this.users.flatMap(({ node }) => [...node.changedEntries]);
    for (const { readCap } of entries.flatMap((raw) => [...parseDirectory(fromHex(raw), looseEntries).values()])) {
      const cap = parseKnownCap(readCap);
      if (cap.type === 'lit') contents.add(text(cap.data));
      if (cap.type === 'chk') contents.add(text(await reader.platformGrid.open(cap).read(0, cap.sizeBytes)));
    }
    return contents;
  }

  /** After a while everybody sees the same. */
  async #problemsOf(node: TestNode, tree: Record<string, string>): Promise<string[]> {
    const expected = JSON.stringify(tree);
    let own = '';
    const look = async () => {
      const root = (await node.vfs.openRoot(this.rootCap)).inode;
      own = JSON.stringify(await snapshotTree(node.vfs, root).catch(() => ({})));
      return own === expected;
    };
    const problems = await eventually(look, SETTLE_MS).then(
      () => [],
      () => [`${node.name} shows ${own}`],
    );
    const standing = node.vfs.status().problems.filter(({ state }) => state.state !== 'conflict');
    return [...problems, ...standing.map(({ path, state }) => `${node.name} ${path} ${state.reason ?? state.state}`)];
  }
}

export type Action = 'write' | 'save' | 'move' | 'remove' | 'mkdir' | 'sync' | 'cut' | 'kill' | 'wait';

export const ALL_ACTIONS: readonly Action[] = [
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
];

interface Parent {
  readonly inode: InodeNumber;
  readonly path: string;
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
  async act(names: readonly string[], actions: readonly Action[] = ALL_ACTIONS): Promise<void> {
    const race = this.#race;
    const action = race.pick(actions);
    race.operations++;
    try {
      if (action === 'kill') return await this.#kill();
      if (action === 'cut') return this.#cut();
      if (action === 'wait') return await pause(race.random(60));
      const path = race.pick(['', '', 'd', 'd/e']);
      const parent = { inode: await this.#directory(path), path };
      if (action === 'mkdir') await this.node.vfs.makeDirectory(parent.inode, race.pick(['d', 'e']), newNode);
      else if (action === 'sync') await this.node.vfs.fsyncDirectory(parent.inode);
      else if (action === 'write') await this.#write(parent, race.pick(names));
      else if (action === 'save') await this.#save(parent, race.pick(names));
      else if (action === 'move') await this.#move(parent, race.pick(names), race.pick(names));
      else await this.#remove(parent, race.pick(names));
    } catch (error) {
      if (!isTahoeError(error)) throw error;
      race.story.push(`${this.node.name} ${action} refused: ${error.kind}`);
      race.refused.set(error.kind, (race.refused.get(error.kind) ?? 0) + 1);
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

  /** The operation is meant for what is seen now. */
  async #consuming<Result>({ inode }: Parent, name: string, what: string, operation: () => Promise<Result>) {
    const content = await this.#seen(inode, name);
    try {
      return await operation();
    } finally {
      if (content !== undefined) this.#race.consumed.set(content, what);
    }
  }

  #next(name: string): string {
    return `${this.node.name}-${++this.#written}-${name}`.padEnd(this.#race.random(2) * 100, '.');
  }

  async #write(parent: Parent, name: string): Promise<void> {
    const content = this.#next(name);
    const what = `${this.node.name} writes ${content} to ${parent.path}/${name}`;
    await this.#consuming(parent, name, what, async () => {
      const { handle } = await this.node.vfs.create(parent.inode, name, newNode, { ...readWrite, truncate: true });
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

  async #save(parent: Parent, name: string): Promise<void> {
    const content = this.#next(name);
    const what = `${this.node.name} saves ${content} as ${parent.path}/${name}`;
    const temporary = `.${content.slice(0, 20)}.tmp`;
    const { handle } = await this.node.vfs.create(parent.inode, temporary, newNode, readWrite);
    await handle.write(0, bytes(content));
    await closeHandle(handle);
    this.#keep(content, what);
    await this.#consuming(parent, name, what, () =>
      this.node.vfs.rename({ parent: parent.inode, name: temporary }, { parent: parent.inode, name }, 'replace'),
    );
  }

  async #move(parent: Parent, from: string, to: string): Promise<void> {
    if (from === to) return;
    const path = this.#race.pick(['', 'd']);
    const target = { inode: await this.#directory(path), path };
    const what = `${this.node.name} moves ${parent.path}/${from} to ${path}/${to}`;
    await this.#consuming(target, to, what, () =>
      this.node.vfs.rename({ parent: parent.inode, name: from }, { parent: target.inode, name: to }, 'replace'),
    );
    this.#race.story.push(what);
  }

  async #remove(parent: Parent, name: string): Promise<void> {
    const what = `${this.node.name} removes ${parent.path}/${name}`;
    await this.#consuming(parent, name, what, () => this.node.vfs.unlink(parent.inode, name));
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
