/**
 * A grid in memory with real nodes on it: journal, engine, uploads and publishes as in production, only the servers and
 * the disks are in memory, and the waits are short. A node can be closed, killed between any two steps, and started again
 * on what it left.
 */
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { LRUCache } from 'lru-cache';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { generateRsaKeyDer } from '../../src/crypto/rsa.js';
import { concatBytes, toHex } from '../../src/encoding/bytes.js';
import { GridClient } from '../../src/grid/grid-client.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import type { Clock } from '../../src/platform/clock.js';
import { type LogFields, type Logger, silentLogger } from '../../src/platform/logger.js';
import type { Platform } from '../../src/platform/platform.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import type { VfsSettings } from '../../src/vfs/core.js';
import { createVfs } from '../../src/vfs/create-vfs.js';
import { type LogOptions, type OpenedLog, openLog } from '../../src/vfs/journal/log-engine.js';
import type { KeyPair, KeySource } from '../../src/vfs/key-pool.js';
import { decodeJson, fromBase64, type NamesRecord, recordKinds } from '../../src/vfs/records.js';
import type { FileHandle, InodeNumber, NewNode, OpenFlags, Vfs } from '../../src/vfs/vfs.js';
import type { NodeVfs } from '../../src/vfs/vfs-engine.js';
import type { Cleanup } from './cleanup.js';
import { CrashFileStore } from './crash-file-store.js';
import { memoryGridClock } from './memory-grid.js';
import { MemoryStorageServer, type Method } from './memory-storage-server.js';
import { overriding } from './overriding.js';

const SEGMENT_BYTES = 1 << 18;
const leaseSecret = new Uint8Array(32).fill(7);

export interface VfsGridOptions {
  readonly servers?: number;
  /** Used instead of servers in memory. */
  readonly remote?: readonly StorageServer[];
  readonly encoding?: { readonly sharesNeeded: number; readonly sharesHappy: number; readonly sharesTotal: number };
  readonly settings?: Partial<VfsSettings>;
  readonly journalBytesMax?: number;
  /** Nodes keep `changedEntries`. A journal that is damaged is then refused, and not set aside. */
  readonly notesChanges?: boolean;
}

const quickSettings: Partial<VfsSettings> = {
  freshnessMs: 20,
  publishAfterQuietMs: 20,
  publishAfterMs: 200,
  uploadAfterMs: 5,
  stepBackMs: 0,
  retryAfterMs: 20,
  settlePollMs: 100,
  // tests say themselves how old the view of a node is
  lookAgainAfterMs: [],
  stallMs: 10_000,
  defaultUid: 7,
  defaultGid: 8,
};

/** Key pairs made once for all tests: a grid gives each of them out once, then makes new ones. */
const madeKeys: readonly { readonly private: string; readonly public: string }[] = JSON.parse(
  readFileSync('test/vectors/keys/rsa-2048.json', 'utf8'),
);

export class VfsGrid implements KeySource {
  readonly servers: MemoryStorageServer[];
  readonly options: VfsGridOptions;
  readonly #scope: Cleanup;
  #keysTaken = 0;
  #nodes = 0;

  constructor(scope: Cleanup, options: VfsGridOptions = {}) {
    this.#scope = scope;
    this.options = options;
    const count = options.servers ?? options.encoding?.sharesTotal ?? 4;
    this.servers = Array.from({ length: count }, (_, index) => new MemoryStorageServer(`s${index}`));
  }

  /** What the nodes speak to. */
  get reachable(): readonly StorageServer[] {
    return this.options.remote ?? this.servers;
  }

  get encoding() {
    return this.options.encoding ?? { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 };
  }

  /** A running node with an empty directory of its own. */
  async node(changes: { settings?: Partial<VfsSettings>; disk?: CrashFileStore } = {}): Promise<TestNode> {
    const node = new TestNode(
      this,
      `n${this.#nodes++}`,
      { ...this.options.settings, ...changes.settings },
      changes.disk,
    );
    this.#scope.teardown(() => node.stop());
    await node.start();
    return node;
  }

  /** Servers in memory answer at once or never; others share the processors with all other tests. */
  get requestTimeoutMs(): number {
    return this.options.remote === undefined ? 300 : 3000;
  }

  /** For mutable slots without a node. */
  slots(servers: readonly StorageServer[] = this.reachable): SlotContext {
    return {
      servers: () => servers,
      leaseSecrets: clientLeaseSecrets(leaseSecret),
      clock: memoryGridClock,
      entropy: new NodeEntropy(),
      log: silentLogger,
      requestTimeoutMs: this.requestTimeoutMs,
      publishMs: 3000,
      settleMarginMs: 300,
    };
  }

  async take(): Promise<KeyPair> {
    const made = madeKeys[this.#keysTaken++];
    if (made === undefined) return generateRsaKeyDer();
    return {
      privateKeyDer: new Uint8Array(Buffer.from(made.private, 'base64')),
      publicKeyDer: new Uint8Array(Buffer.from(made.public, 'base64')),
    };
  }

  async close(): Promise<void> {}

  get keysTaken(): number {
    return this.#keysTaken;
  }

  /** What goes wrong on every server from now on; nothing goes wrong without an argument. */
  plan(plan: MemoryStorageServer['plan'] = () => undefined): void {
    for (const server of this.servers) server.plan = plan;
  }

  countOf(method: Method): number {
    return this.servers.reduce((sum, server) => sum + server.countOf(method), 0);
  }
}

/** One life of a node's process; once killed, nothing that it began goes on or answers. */
class Process {
  isAlive = true;
  readonly #clock = memoryGridClock;
  readonly #timers = new Set<{ cancel(): void }>();

  readonly clock: Clock = {
    wallMs: () => this.#clock.wallMs(),
    monotonicMs: () => this.#clock.monotonicMs(),
    setTimer: (delayMs, callback) => {
      const timer = this.#clock.setTimer(delayMs, () => {
        this.#timers.delete(timer);
        if (this.isAlive) callback();
      });
      this.#timers.add(timer);
      return {
        cancel: () => {
          this.#timers.delete(timer);
          timer.cancel();
        },
      };
    },
  };

  kill(): void {
    this.isAlive = false;
    for (const timer of this.#timers) timer.cancel();
  }

  /** The server as this process reaches it: after the kill there is no answer. */
  reach(server: StorageServer, node: TestNode): StorageServer {
    return new Proxy(server, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          const held = node.beforeRequest(property as Method, target, args[0]);
          if (held !== undefined) await held;
          if (!this.isAlive) return new Promise(() => {});
          const result: unknown = await Reflect.apply(value, target, args);
          return this.isAlive ? result : new Promise(() => {});
        };
      },
    });
  }
}

export class TestNode {
  readonly name: string;
  readonly grid: VfsGrid;
  /** Warnings and errors that it has logged. */
  readonly lines: string[] = [];
  disk: CrashFileStore;
  /** The entries, as stored and in hex, that operations of its users have changed or taken away. */
  readonly changedEntries = new Set<string>();
  /** Nicknames of servers that this node knows not to answer. */
  readonly away = new Set<string>();
  /** Told when a server answers again. */
  readonly #listeners = new Set<() => void>();
  /** Called before each request that it makes; may kill it. */
  beforeRequest: (method: Method, server: StorageServer, request: unknown) => void | Promise<void> = () => {};
  readonly #settings: Partial<VfsSettings>;
  #process: Process | undefined;
  #uploader: GridUploader | undefined;
  #vfs: NodeVfs | undefined;
  #grid: GridClient | undefined;

  constructor(grid: VfsGrid, name: string, settings: Partial<VfsSettings>, disk = new CrashFileStore()) {
    this.grid = grid;
    this.name = name;
    this.disk = disk;
    this.#settings = { ...quickSettings, ...settings };
  }

  get vfs(): NodeVfs {
    if (this.#vfs === undefined) throw new Error('the node does not run');
    return this.#vfs;
  }

  /** Mutable files and uploads without the file system. */
  get platformGrid(): GridClient {
    if (this.#grid === undefined) throw new Error('the node does not run');
    return this.#grid;
  }

  async start(): Promise<void> {
    const process = new Process();
    this.#process = process;
    const { clock } = process;
    const entropy = new NodeEntropy();
    const log = recordingLogger(this.lines);
    const servers = this.grid.reachable.map((server) => process.reach(server, this));
    const { requestTimeoutMs } = this.grid;
    const uploader = new GridUploader({
      servers: () => servers,
      clientLeaseSecret: leaseSecret,
      clock,
      log,
      queryTimeoutMs: requestTimeoutMs,
      writeTimeoutMs: requestTimeoutMs,
    });
    this.#uploader = uploader;
    const segmentCache = new LRUCache<string, Uint8Array>({
      maxSize: 8 << 20,
      sizeCalculation: (bytes) => Math.max(1, bytes.length),
    });
    const slots: SlotContext = {
      ...this.grid.slots(servers),
      isReachable: (server) => !this.away.has(server.nickname),
      onReturn: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      clock,
      log,
    };
    const platform: Platform = { clock, entropy, files: this.disk, log };
    const { encoding } = this.grid;
    const grid = new GridClient({
      uploader,
      downloader: new GridDownloader({ servers: () => servers, segmentCache, clock, log }),
      slots,
      keys: this.grid,
      encoding: { ...encoding, maximumSegmentSize: 1 << 17 },
      convergenceSecret: new Uint8Array(32).fill(3),
      servers: () => servers.map(({ id, nickname }) => ({ id, nickname, state: 'connected' })),
    });
    this.#grid = grid;
    this.#vfs = await createVfs({
      platform,
      grid,
      slots,
      keys: this.grid,
      encoding,
      nodeName: this.name,
      directory: '/node',
      keyPath: '/node/private/journal.key',
      journalBytesMax: this.grid.options.journalBytesMax ?? 256 * SEGMENT_BYTES,
      journalReserveBytes: 8 * SEGMENT_BYTES,
      journalSegmentBytes: SEGMENT_BYTES,
      settings: this.#settings,
      ...(this.grid.options.notesChanges === true ? { openJournal: openNoting(this.changedEntries) } : {}),
    });
  }

  /** It notices that a server answers again. */
  noticeReturn(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Ends in order and starts again on the same directory. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** As `kill -9` does: from now on it does nothing and nobody hears of it. */
  kill(how: 'kill' | 'power' = 'kill', fraction: () => number = () => 0): void {
    this.#process?.kill();
    // servers give up uploads that nobody goes on with, later than a test can wait
    for (const server of this.grid.servers) server.pending.clear();
    this.disk = this.disk.afterCrash(how, fraction);
    this.#forget();
  }

  async killAndStart(how: 'kill' | 'power' = 'kill', fraction: () => number = () => 0): Promise<void> {
    this.kill(how, fraction);
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#vfs?.close();
    this.#process?.kill();
    this.#forget();
  }

  #forget(): void {
    const uploader = this.#uploader;
    this.#vfs = undefined;
    this.#process = undefined;
    this.#uploader = undefined;
    uploader?.close().catch(() => {});
  }
}

function openNoting(changedEntries: Set<string>) {
  const note = ({ c: changes }: NamesRecord) => {
    // what one name loses to another one of the same operation is moved
    const isMove = changes.length > 1;
    for (const { e, i } of changes) if (e !== null && !(isMove && i === null)) changedEntries.add(toHex(fromBase64(e)));
  };
  return async (options: LogOptions): Promise<OpenedLog> => {
    const opened = await openLog(options);
    const log = overriding(opened.log, {
      append: (kind, parts, urgency) => {
        if (kind === recordKinds.names) note(decodeJson(concatBytes(parts)));
        return opened.log.append(kind, parts, urgency);
      },
    });
    return { ...opened, log };
  };
}

function recordingLogger(lines: string[]): Logger {
  const record = (message: string, fields: LogFields = {}) => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const logger: Logger = { debug() {}, info() {}, warn: record, error: record, child: () => logger };
  return logger;
}

// what tests do with a file system

export const newNode: NewNode = { mode: 0o644, uid: 1000, gid: 100 };
export const readWrite: OpenFlags = { read: true, write: true };

export function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

export function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

/** Creates or replaces the contents and closes. */
export async function put(
  vfs: Vfs,
  parent: InodeNumber,
  name: string,
  content: string | Uint8Array,
): Promise<InodeNumber> {
  const { attributes, handle } = await vfs.create(parent, name, newNode, { ...readWrite, truncate: true });
  await handle.write(0, typeof content === 'string' ? bytes(content) : content);
  await closeHandle(handle);
  return attributes.inode;
}

export async function closeHandle(handle: FileHandle): Promise<void> {
  await handle.flush();
  await handle.release();
}

export async function contentOf(vfs: Vfs, inode: InodeNumber): Promise<Uint8Array> {
  const handle = await vfs.open(inode, { read: true, write: false });
  try {
    return await handle.read(0, 1 << 26);
  } finally {
    await handle.release();
  }
}

export async function textAt(vfs: Vfs, parent: InodeNumber, name: string): Promise<string> {
  return text(await contentOf(vfs, (await vfs.lookup(parent, name)).inode));
}

export async function listing(vfs: Vfs, directory: InodeNumber): Promise<string[]> {
  return (await vfs.readDirectory(directory)).map(({ name }) => name);
}

/** The whole tree as text: path to content, link target, or kind. */
export async function snapshotTree(vfs: Vfs, root: InodeNumber): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const walk = async (directory: InodeNumber, prefix: string): Promise<void> => {
    for (const { name, attributes } of await vfs.readDirectory(directory)) {
      const path = `${prefix}/${name}`;
      if (attributes.kind === 'directory') {
        found[path] = 'directory';
        await walk(attributes.inode, path);
      } else if (attributes.kind === 'file') {
        found[path] = `file ${Buffer.from(await contentOf(vfs, attributes.inode)).toString('latin1')}`;
      } else {
        found[path] =
          attributes.kind === 'symlink' ? `link ${await vfs.readSymlink(attributes.inode)}` : attributes.kind;
      }
    }
  };
  await walk(root, '');
  return found;
}

/** A grid with one node and a root directory on it. */
export async function oneNode(
  t: ExecutionContext<unknown>,
  options: VfsGridOptions = {},
): Promise<{ grid: VfsGrid; node: TestNode; rootCap: string; root: InodeNumber }> {
  const grid = new VfsGrid(t, options);
  const node = await grid.node();
  const rootCap = await node.vfs.createUnlinkedDirectory();
  const root = (await node.vfs.openRoot(rootCap)).inode;
  return { grid, node, rootCap, root };
}

/** What a node that has never seen anything reads from the grid. */
export async function seenByAnother(grid: VfsGrid, rootCap: string): Promise<Record<string, string>> {
  const other = await grid.node();
  const tree = await snapshotTree(other.vfs, (await other.vfs.openRoot(rootCap)).inode);
  await other.stop();
  return tree;
}

/** Waits until `condition` holds; fails the test after `limitMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, limitMs = 15_000): Promise<void> {
  for (const startedMs = performance.now(); !(await condition()); ) {
    if (performance.now() - startedMs > limitMs) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function drained(node: TestNode): Promise<void> {
  return drainedWithin(node, 15_000);
}

export async function drainedWithin(node: TestNode, limitMs: number): Promise<void> {
  const { vfs } = node;
  const limit = new AbortController();
  const timer = setTimeout(() => {
    const last = node.lines.slice(-5).join('\n');
    limit.abort(new Error(`not everything has arrived: ${JSON.stringify(vfs.status())}\n${last}`));
  }, limitMs);
  try {
    await vfs.drain({ signal: limit.signal });
  } finally {
    clearTimeout(timer);
  }
}

/** Enough work in `root` that the journal is checkpointed and old segments are used again. */
export async function workUntilCheckpoint(node: TestNode, root: InodeNumber): Promise<void> {
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 4; i++) await put(node.vfs, root, `work${i}`, new Uint8Array(60_000).fill(round));
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  for (let i = 0; i < 4; i++) await node.vfs.unlink(root, `work${i}`);
}
