/** The servers and what lies between them and the nodes: outages, partitions, full disks, lost, late and doubled messages. */
import type { ServerId } from '../../src/encoding/brands.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import { FaultyStorageServer, type ServerCall, type ServerFault } from '../support/faulty-storage-server.js';
import { MemoryStorageServer } from '../support/memory-storage-server.js';
import type { SimConfig } from './config.js';
import type { Random } from './random.js';
import type { VirtualTime } from './virtual-time.js';

/** Which messages a fault is meant for. */
export type MessageKind = 'slot-write' | 'slot-read' | 'upload' | 'download';

interface Armed {
  readonly node: number;
  readonly about: MessageKind;
  readonly fault: ServerFault;
  left: number;
}

interface Until {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly how: 'refuse' | 'hang';
}

/** Servers give up an upload that nobody has gone on with for this long. */
const UPLOAD_EXPIRES_MS = 30 * 60_000;
/** After this long a node has noticed that a server is away. */
const NOTICED_MS = 5000;
/** Journeys take a multiple of this: fewer moments, and more that happens in one. */
const TRAVEL_STEP_MS = 6;

export class Network {
  readonly servers: readonly MemoryStorageServer[];
  /** Called for each message, before anything happens to it. */
  onCall: (node: number, call: ServerCall, fault: ServerFault | undefined) => void = () => {};
  #noise: number;
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #down = new Map<number, Until>();
  readonly #cut = new Map<string, Until>();
  readonly #full = new Map<number, number>();
  readonly #slow = new Map<number, { readonly untilMs: number; readonly addMs: number }>();
  #armed: Armed[] = [];

  constructor(config: SimConfig, noise: number, time: VirtualTime, random: Random) {
    this.servers = Array.from({ length: config.servers }, (_, index) => new MemoryStorageServer(`s${index}`));
    for (const server of this.servers) server.keepsHistory = config.rollbacks > 0;
    this.#noise = noise;
    this.#time = time;
    this.#random = random;
  }

  /** The servers as one process of a node reaches them. */
  reach(node: number, isListening: () => boolean): StorageServer[] {
    return this.servers.map(
      (server, index) =>
        new FaultyStorageServer(server, {
          clock: this.#time,
          isListening,
          fault: (call) => this.#fault(node, index, call),
          travel: () => this.#travel(index),
        }),
    );
  }

  outage(server: number, ms: number, how: Until['how']): void {
    this.#down.set(server, this.#until(ms, how));
  }

  partition(node: number, servers: readonly number[], ms: number, how: Until['how']): void {
    for (const server of servers) this.#cut.set(`${node}-${server}`, this.#until(ms, how));
  }

  diskFull(server: number, ms: number): void {
    this.#full.set(server, this.#time.nowMs + ms);
  }

  slow(server: number, ms: number, addMs: number): void {
    this.#slow.set(server, { untilMs: this.#time.nowMs + ms, addMs });
  }

  arm(node: number, about: MessageKind, fault: ServerFault, count: number): void {
    this.#armed.push({ node, about, fault, left: count });
  }

  rollBack(server: number, writes: number): void {
    this.servers[server]?.rollBack(writes);
  }

  /** What a node believes that asks all servers now and then. */
  seemsReachable(node: number, id: ServerId): boolean {
    const server = this.servers.findIndex((each) => each.id === id);
    const { nowMs } = this.#time;
    const states = [this.#down.get(server), this.#cut.get(`${node}-${server}`)];
    return !states.some((state) => state !== undefined && state.untilMs > nowMs && state.sinceMs + NOTICED_MS < nowMs);
  }

  /** What a process that died had begun is given up after a while. */
  expireUploads(): void {
    const begun = this.servers.flatMap((server) =>
      [...server.pending.values()].flatMap((shares) =>
        [...shares].map(([number, share]) => ({ shares, number, share, written: share.written })),
      ),
    );
    if (begun.length === 0) return;
    this.#time.setTimer(UPLOAD_EXPIRES_MS, () => {
      for (const { shares, number, share, written } of begun) {
        if (shares.get(number) === share && share.written === written) shares.delete(number);
      }
    });
  }

  /** No noise until the returned function is called. */
  hush(): () => void {
    const noise = this.#noise;
    this.#noise = 0;
    return () => {
      this.#noise = noise;
    };
  }

  heal(): void {
    this.#noise = 0;
    this.#armed = [];
    for (const state of [this.#down, this.#cut, this.#full, this.#slow]) state.clear();
  }

  #until(ms: number, how: Until['how']): Until {
    const { nowMs } = this.#time;
    return { sinceMs: nowMs, untilMs: nowMs + ms, how };
  }

  #travel(server: number): { requestMs: number; answerMs: number } {
    const slow = this.#slow.get(server);
    const addMs = slow !== undefined && slow.untilMs > this.#time.nowMs ? slow.addMs : 0;
    const step = () => TRAVEL_STEP_MS * this.#random.between(1, 3);
    return { requestMs: step() + addMs, answerMs: step() };
  }

  #fault(node: number, server: number, call: ServerCall): ServerFault | undefined {
    const fault = this.#chosen(node, server, call);
    this.onCall(node, call, fault);
    return fault;
  }

  #chosen(node: number, server: number, call: ServerCall): ServerFault | undefined {
    const { nowMs } = this.#time;
    for (const state of [this.#down.get(server), this.#cut.get(`${node}-${server}`)]) {
      if (state !== undefined && state.untilMs > nowMs) return { kind: state.how };
    }
    if ((this.#full.get(server) ?? 0) > nowMs) return { kind: 'disk-full' };
    const about = messageKind(call);
    const armed = this.#armed.find((each) => each.node === node && each.about === about && each.left > 0);
    if (armed !== undefined) {
      armed.left--;
      return armed.fault;
    }
    return this.#noise > 0 && this.#random.chance(this.#noise) ? anyFault(this.#random) : undefined;
  }
}

function messageKind({ method, isWrite }: ServerCall): MessageKind {
  if (method === 'readTestWrite') return isWrite ? 'slot-write' : 'slot-read';
  if (method === 'listSlotShares' || method === 'readSlotShare') return 'slot-read';
  return isWrite ? 'upload' : 'download';
}

/** What may happen to a message without anybody's fault. */
export function anyFault(random: Random): ServerFault {
  const kind = random.weighted({
    refuse: 3,
    hang: 1,
    'lose-answer': 3,
    'swallow-answer': 2,
    'late-request': 3,
    'late-answer': 2,
    duplicate: 2,
    truncate: 1,
    'flip-bit': 2,
    'wrong-share': 1,
  });
  if (kind === 'late-request' || kind === 'late-answer' || kind === 'duplicate')
    return { kind, delayMs: random.pick([50, 500, 3000, 8000, 30_000]) };
  if (kind === 'flip-bit') return { kind, fraction: random.fraction() };
  return { kind };
}
