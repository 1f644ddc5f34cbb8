/**
 * A seeded simulation of the real program: journal, file system, uploads and publishes as in production; only the disks,
 * the clock, the randomness and the network are simulated. A run is a function of its script (script.ts), which is a
 * function of the seed.
 *
 * # The fault model
 *
 * Nodes. A process may be killed between any two of its steps and started again. The machine may lose power: of what was
 * not synced any sectors and any prefix of the names may be on the disk, and what was synced is there; renames are
 * atomic. A disk may be lost with all that is on it. Wall clocks may be wrong by days; the monotonic clock is right
 * while the process lives, and begins anew with the next.
 *
 * Servers. They may be away for any time, alone or together, for all or for some nodes; slow; full. Test-and-set is
 * atomic. A server does not forget what it has said it holds, but some, as many as vfs blueprint 11 allows for the grid,
 * may go back to any earlier state of their slots.
 *
 * Messages. Any may be refused, lost before or after its effect, late by any time (also after its sender has given up or
 * died), or doubled. Any answer may be cut, damaged in one bit, or be that for another share.
 *
 * Users. Several nodes work at once. In its own directory a node is alone; in the shared one all write the same names, and
 * in one of the configurations make, remove and move directories there.
 *
 * # What must hold (the names are those of the reports)
 *
 * - own view: a node's view of its own directory is what POSIX says after each operation; an operation fails only as POSIX
 *   says or because the grid could not be asked, and then has no effect.
 * - acknowledged survives a crash: after a kill the view is the one before it or the one that was being made; after a loss
 *   of power it is one not older than the last close or fsync that was acknowledged; what was written after the last
 *   close comes back beside the file.
 * - synced is readable elsewhere: at the moment an fsync succeeds, somebody with nothing but the capability reads that
 *   content or a later one of that file; every directory on the way stands, in that version or a later one, on W shares,
 *   and the content on `happy` servers.
 * - whole files only: nobody elsewhere ever reads a content that no close or fsync was asked for.
 * - nothing vanishes: at the end every content whose close was acknowledged, and which nobody replaced or removed who saw
 *   it, is on the grid under some name, or on a node in a directory of which it says that it cannot publish it. A
 *   content that was never synced may be lost with its node's disk.
 * - servers see nothing: no plaintext and no capability is in any message.
 * - pending work ends: when the faults end, nothing is pending after a while but directories of which a node says so.
 * - views agree: then all nodes see the same tree, the one that a new node sees.
 * - typed errors: what fails says so by an error of the program, in bounded time; no rejection is unhandled.
 *
 * # What may be reported instead
 *
 * A change of the same name by two nodes: one content keeps the name, the other is there under a conflict name, and the
 * error is told once. A directory that a node cannot publish, as one on servers that were rolled back, it keeps in its
 * journal and says `failed`: then that directory may be missing on the grid, and nothing else. fsync may fail whenever
 * the grid is not reached in time; the work goes on.
 */
import { createHash, type Hash } from 'node:crypto';
import { serializeCap } from '../../src/caps/cap.js';
import type { Grid } from '../../src/grid/grid.js';
import type { ServerCall, ServerFault } from '../support/faulty-storage-server.js';
import { overriding } from '../support/overriding.js';
import { configNamed, type SimConfig } from './config.js';
import { checkEnd } from './end-checks.js';
import { GridReader } from './grid-reader.js';
import { SimKeys } from './keys.js';
import { Network } from './network.js';
import { Oracle } from './oracle.js';
import { OwnUser } from './own-user.js';
import { Random } from './random.js';
import type { Script, Step } from './script.js';
import { noSeams, type Seams } from './seams.js';
import { SharedUser } from './shared-user.js';
import { type NodeSurroundings, processDied, SimNode } from './sim-node.js';
import type { UserWorld } from './user.js';
import { toContent } from './vfs-calls.js';
import { VirtualTime } from './virtual-time.js';

export interface Violation {
  readonly invariant: string;
  readonly what: string;
  /** Number of the step, or undefined for what was found at the end. */
  readonly step: number | undefined;
}

export interface Outcome {
  readonly violation: Violation | undefined;
  readonly traceHash: string;
  readonly virtualSeconds: number;
  readonly counts: Readonly<Record<string, number>>;
}

export interface RunOptions {
  readonly seams?: Seams;
  /** Gets every line of the trace. */
  readonly onLine?: (line: string) => void;
}

/** An operation that has no answer by then never will. */
const OPERATION_MS = 15 * 60_000;
const ROOT_MS = 120_000;
/** Long enough not to come up by chance in the ciphertext of many runs. */
const secrets = ['PLAIN n', 'URI:CHK:', 'URI:LIT:', 'URI:SSK', 'URI:MDMF', 'URI:DIR2'];

export async function runScript(script: Script, options: RunOptions = {}): Promise<Outcome> {
  const config = configNamed(script.config);
  if (config === undefined) throw new Error(`no configuration ${script.config}`);
  const simulation = new Simulation(script, { ...config, nodes: script.nodes }, options);
  return simulation.run();
}

/** A node with its users and what they have still to do. */
export interface Seat {
  readonly node: SimNode;
  readonly own: OwnUser;
  readonly shared: SharedUser;
  /** True from a start until the own directory was recognised. */
  isUnsettled: boolean;
  /** When it may be started again. */
  upAtMs: number | undefined;
  work: Promise<void>;
  waiting: number;
}

export class Simulation {
  readonly time = new VirtualTime();
  readonly config: SimConfig;
  readonly network: Network;
  readonly oracle = new Oracle();
  readonly seats: Seat[];
  rootCap = '';
  violation: Violation | undefined;
  readonly #script: Script;
  readonly #random: Random;
  readonly #hash: Hash = createHash('sha256');
  readonly #options: RunOptions;
  readonly #around: NodeSurroundings;
  readonly #counts: Record<string, number> = {};
  #step: number | undefined = -1;
  #hasRolledBack = false;
  #areFaultsOver = false;
  #isOver = false;

  constructor(script: Script, config: SimConfig, options: RunOptions) {
    this.#script = script;
    this.config = config;
    this.#options = options;
    this.#random = new Random(`run ${script.seed} ${config.name}`);
    this.network = new Network(config, script.noise, this.time, this.#random.fork('network'));
    this.network.onCall = (node, call, fault) => this.#watchCall(node, call, fault);
    this.#around = {
      config,
      time: this.time,
      network: this.network,
      keys: new SimKeys(),
      seams: options.seams ?? noSeams,
      watchGrid: (inner) => this.#watchGrid(inner),
      note: (line) => this.note(line),
    };
    this.seats = Array.from({ length: config.nodes }, (_, index) => this.#seat(index));
  }

  async run(): Promise<Outcome> {
    const onRejection = (error: unknown) => {
      this.violate('typed errors', `an unhandled rejection: ${errorText(error)}`);
    };
    process.on('unhandledRejection', onRejection);
    const putBack = this.#around.seams.parts?.();
    try {
      await this.#prepare();
      for (const [index, step] of this.#script.steps.entries()) {
        if (this.violation !== undefined) break;
        this.#step = index;
        await this.time.pass(step.gapMs);
        this.#begin(step);
      }
      this.#step = undefined;
      if (this.violation === undefined) await checkEnd(this);
    } catch (error) {
      this.violate('typed errors', `the run cannot go on: ${errorText(error)}`);
    } finally {
      this.#isOver = true;
      // nothing of this run may go on in the next
      for (const { node } of this.seats) node.kill('kill');
      process.off('unhandledRejection', onRejection);
      putBack?.();
    }
    const { violation } = this;
    const traceHash = this.#hash.digest('hex').slice(0, 16);
    return { violation, traceHash, virtualSeconds: this.time.nowMs / 1000, counts: this.#counts };
  }

  note(line: string): void {
    if (this.#isOver) return;
    const stamped = `${this.time.nowMs} ${line}`;
    this.#hash.update(stamped);
    this.#options.onLine?.(stamped);
  }

  violate(invariant: string, what: string): void {
    if (this.#isOver) return;
    this.violation ??= { invariant, what, step: this.#step };
    this.note(`VIOLATION ${invariant}: ${what}`);
  }

  count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }

  /** No version is on the servers whose author will never come back. */
  get isSettled(): boolean {
    return !this.#hasRolledBack && this.seats.every(({ own }) => !own.isOver);
  }

  endFaults(): void {
    this.note('the faults end');
    this.#areFaultsOver = true;
    this.network.heal();
  }

  /** Somebody who was never here. */
  reader(): GridReader {
    const { config, network, time } = this;
    return new GridReader(config, this.rootCap, network.servers, { clock: time, checksSpread: !this.#hasRolledBack });
  }

  /** A node that starts with nothing, on a network without faults. */
  async newcomer(): Promise<SimNode> {
    const { seams: _, ...around } = this.#around;
    const node = new SimNode(this.config.nodes, { ...around, seams: noSeams }, this.#random.fork('newcomer'));
    await this.finished(node.start());
    return node;
  }

  /** Lets time pass until `work` is done. */
  async finished<Value>(work: Promise<Value>, limitMs = OPERATION_MS): Promise<Value> {
    let isDone = false;
    const settle = () => {
      isDone = true;
    };
    work.then(settle, settle);
    const ended = await this.time.runUntil(() => isDone, limitMs);
    if (!ended) throw new Error(`no end within ${limitMs / 1000} s`);
    return work;
  }

  /** Brings a node up, if it is time, and looks whether it is what it may be. False if not yet. */
  async settle(seat: Seat): Promise<boolean> {
    const { node } = seat;
    if (seat.upAtMs !== undefined) {
      if (seat.upAtMs > this.time.nowMs) return false;
      seat.upAtMs = undefined;
      this.note(`${node.name} starts`);
      seat.isUnsettled = true;
      await this.#start(node);
    }
    if (!node.isRunning) return false;
    if (!seat.isUnsettled) return true;
    const root = await node.whileAlive(node.vfs.openRoot(this.rootCap)).catch((error: unknown) => {
      if (error === processDied) throw error;
      return undefined;
    });
    if (root === undefined) return false;
    seat.own.root = root.inode;
    seat.shared.root = root.inode;
    if (!(await seat.own.recognise())) return false;
    seat.isUnsettled = false;
    this.note(`${node.name} is settled`);
    return true;
  }

  /** Nothing that a crash leaves may keep a node from starting. */
  async #start(node: SimNode): Promise<void> {
    try {
      await node.start();
    } catch (error) {
      if (error === processDied) throw error;
      this.violate('acknowledged survives a crash', `${node.name} does not start: ${errorText(error)}`);
    }
  }

  #seat(index: number): Seat {
    const node = new SimNode(index, this.#around, this.#random.fork(`node ${index}`));
    const world: UserWorld = {
      oracle: this.oracle,
      reader: () => this.reader(),
      violate: (invariant, what) => this.violate(invariant, what),
      note: (line) => this.note(line),
    };
    const own = new OwnUser(node, world);
    const shared = new SharedUser(node, world);
    return { node, own, shared, isUnsettled: true, upAtMs: undefined, work: Promise.resolve(), waiting: 0 };
  }

  /** A root with a directory for each node and one for all, before anything goes wrong. */
  async #prepare(): Promise<void> {
    const [first] = this.seats;
    const quiet = this.network.hush();
    const { node } = first!;
    const prepare = async (): Promise<void> => {
      await node.start();
      this.rootCap = await node.vfs.createUnlinkedDirectory();
      const { inode } = await node.vfs.openRoot(this.rootCap);
      const owner = { mode: 0o755, uid: 1, gid: 1 };
      for (const seat of this.seats) await node.vfs.makeDirectory(inode, `own${seat.node.index}`, owner);
      const shared = await node.vfs.makeDirectory(inode, 'shared', owner);
      await node.vfs.makeDirectory(shared.inode, 'p', owner);
      await node.vfs.drain({});
    };
    await this.finished(prepare(), ROOT_MS);
    for (const seat of this.seats.slice(1)) await this.finished(seat.node.start(), ROOT_MS);
    for (const seat of this.seats) await this.finished(this.settle(seat), ROOT_MS);
    quiet();
  }

  #begin(step: Step): void {
    this.note(`step ${JSON.stringify(step)}`);
    switch (step.do) {
      case 'pause':
        return;
      case 'outage':
        this.network.outage(step.server, step.ms, step.how);
        return;
      case 'partition':
        this.network.partition(step.node, step.servers, step.ms, step.how);
        return;
      case 'message':
        this.network.arm(step.node, step.about, step.fault, step.count);
        return;
      case 'disk-full':
        this.network.diskFull(step.server, step.ms);
        return;
      case 'slow':
        this.network.slow(step.server, step.ms, step.addMs);
        return;
      case 'roll-back':
        this.#hasRolledBack = true;
        this.network.rollBack(step.server, step.writes);
        return;
      case 'kill':
        this.time.setTimer(step.afterMs, () => this.#kill(this.seats[step.node]!, step.how, step.downMs));
        return;
      case 'lose-disk':
        this.#loseDisk(this.seats[step.node]!, step.downMs);
        return;
      case 'restart':
        this.#enqueue(this.seats[step.node]!, 'restart', (seat) => this.#restart(seat));
        return;
      default:
        this.#enqueue(this.seats[step.node]!, step.do, async ({ own, shared }) => {
          this.count(step.do);
          if ('path' in step && !step.path.startsWith(own.home)) await shared.perform(step);
          else await own.perform(step);
        });
    }
  }

  /** One operation of a node after the other. */
  #enqueue(seat: Seat, what: string, operation: (seat: Seat) => Promise<void>): void {
    seat.waiting++;
    const before = seat.work;
    const run = async (): Promise<void> => {
      await before;
      const { node } = seat;
      // its end is watched by time, not by whoever waits
      const late = this.time.setTimer(OPERATION_MS, () =>
        this.violate('typed errors', `${node.name} ${what} has no end`),
      );
      try {
        if (await this.settle(seat)) await operation(seat);
        this.note(`${node.name} ${what} done`);
      } catch (error) {
        if (error !== processDied) throw error;
        this.note(`${node.name} ${what} died`);
      } finally {
        late.cancel();
        seat.waiting--;
      }
    };
    seat.work = run();
  }

  async #restart(seat: Seat): Promise<void> {
    await seat.own.closeAll();
    await seat.node.stop();
    seat.own.died('kill');
    seat.upAtMs = this.time.nowMs;
    await this.settle(seat);
  }

  #kill(seat: Seat, how: 'kill' | 'power', downMs: number): void {
    if (this.#areFaultsOver || seat.upAtMs !== undefined) return;
    this.note(`${seat.node.name} ${how}`);
    this.count(how);
    seat.node.kill(how);
    seat.own.died(how);
    seat.upAtMs = this.time.nowMs + downMs;
  }

  #loseDisk(seat: Seat, downMs: number): void {
    this.note(`${seat.node.name} loses its disk`);
    this.count('lose-disk');
    seat.node.loseDisk();
    seat.own.lostDisk();
    seat.shared.lostDisk();
    this.oracle.forgive(seat.node.index);
    seat.upAtMs = this.time.nowMs + downMs;
  }

  #watchGrid(inner: Grid): Grid {
    return overriding(inner, {
      upload: async (source, options) => {
        const bytes = new Uint8Array(source.sizeBytes);
        await source.read(0, bytes);
        const content = toContent(bytes);
        if (!this.oracle.isLegal(content, '.recovered-'))
          this.violate('whole files only', `uploaded: ${JSON.stringify(content.slice(0, 60))}`);
        const result = await inner.upload(source, options);
        this.oracle.noteUploaded(serializeCap(result.cap), content);
        return result;
      },
    });
  }

  #watchCall(node: number, call: ServerCall, fault: ServerFault | undefined): void {
    const { method, server, shareNumber, isWrite, payload } = call;
    this.count('messages');
    const bytes = payload.reduce((sum, part) => sum + part.length, 0);
    const about = `${shareNumber ?? ''}${isWrite ? 'w' : ''} ${bytes} ${fault?.kind ?? ''}`;
    this.note(`n${node} ${server.nickname} ${method} ${about}`);
    for (const part of payload) {
      const buffer = Buffer.from(part.buffer, part.byteOffset, part.length);
      if (secrets.some((secret) => buffer.includes(secret)))
        this.violate('servers see nothing', `${method} to ${server.nickname} carries plaintext`);
    }
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message} ${error.stack ?? ''}` : String(error);
}
