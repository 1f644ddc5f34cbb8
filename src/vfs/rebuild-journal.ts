/**
 * Makes a new journal out of what a damaged one still holds. Every record that can be read and still means something is
 * written anew. A file with a stretch of the log missing between its beginning and a close may lack bytes: that close is
 * left out, so that the ordinary start treats it like a file that was open at a crash: what is known stands beside it as
 * `NAME.recovered-UTC`, and nothing doubtful takes its name.
 */
import { concatBytes } from '../encoding/bytes.js';
import { describeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import { Effects } from './effects.js';
import type { DamagedLog } from './journal/damaged-log.js';
import type { Log, LogPosition, LogRecord } from './journal/log.js';
import { type OverlayState, parseOverlay } from './overlay-codec.js';
import { pathOf } from './paths.js';
import * as records from './records.js';
import { recordKinds as kinds } from './records.js';
import { Replay } from './replay.js';
import { Tree } from './tree.js';

export interface RebuildReport {
  readonly recordsKept: number;
  /** Records that speak of something whose beginning is lost, with why. */
  readonly recordsWithoutSense: readonly string[];
  /** Paths of files whose last closes may lack bytes. */
  readonly doubtfulFiles: readonly string[];
}

const SYNC_EVERY_RECORDS = 256;

/** Appends to `target`, which is new and empty, and syncs it. */
export async function rebuildJournal(damaged: DamagedLog, target: Log, clock: Clock): Promise<RebuildReport> {
  const rebuild = new Rebuild(damaged, target, clock);
  for await (const record of damaged.records()) await rebuild.take(record);
  await target.sync();
  return rebuild.report();
}

class Rebuild {
  readonly #damaged: DamagedLog;
  readonly #target: Log;
  readonly #tree = new Tree();
  readonly #replay: Replay;
  readonly #parts = new records.PartCollector();
  /** By inode: the record from which on its content is known from its beginning. */
  readonly #begun = new Map<number, LogPosition>();
  readonly #doubtful = new Set<number>();
  readonly #senseless: string[] = [];
  #kept = 0;

  constructor(damaged: DamagedLog, target: Log, clock: Clock) {
    this.#damaged = damaged;
    this.#target = target;
    this.#replay = new Replay(new Effects(dryLog, this.#tree, clock));
  }

  async take(record: LogRecord): Promise<void> {
    const { kind, payload, position } = record;
    if (kind === kinds.overlayPart) {
      this.#parts.add(payload);
      return;
    }
    if (kind === kinds.overlay) {
      await this.#takeOverlay(records.decodeJson(payload), position);
      return;
    }
    if (kind === kinds.snapshot && this.#isDoubtful(records.decodeJson<records.SnapshotRecord>(payload).i, position)) {
      return;
    }
    const isNew = kind === kinds.inode && !this.#tree.inodes.has(records.decodeJson<records.InodeRecord>(payload).i);
    if (kind === kinds.names && this.#namesSomethingUnknown(records.decodeJson(payload))) return;
    if (!this.#makesSense(record)) return;
    if (isNew || kind === kinds.content) this.#begun.set(records.decodeJson<{ i: number }>(payload).i, position);
    await this.#keep(kind, payload);
  }

  report(): RebuildReport {
    const doubtfulFiles = [...this.#doubtful].map((number) => {
      const inode = this.#tree.inodes.get(number);
      return inode?.place === undefined ? `a file without a name (inode ${number})` : pathOf(inode);
    });
    return { recordsKept: this.#kept, recordsWithoutSense: this.#senseless, doubtfulFiles };
  }

  /** Tries it on a tree of its own: what is refused there would be refused at every start. */
  #makesSense(record: LogRecord): boolean {
    try {
      this.#replay.apply(record);
      return true;
    } catch (error) {
      // whatever is thrown: it speaks of something that is not there, and that is what a hole in a log does
      this.#senseless.push(`kind ${record.kind}: ${describeError(error)}`);
      return false;
    }
  }

  /** A name must not be given to a file whose content, or a directory whose key, is in an unreadable stretch. */
  #namesSomethingUnknown({ c }: records.NamesRecord): boolean {
    const unknown = c.find(({ i }) => {
      const child = i === null ? undefined : this.#tree.inodes.get(i);
      const isFile = child?.kind === 'file' && child.content === undefined && child.other === undefined;
      return isFile || (child?.kind === 'directory' && child.directory === undefined);
    });
    if (unknown !== undefined)
      this.#senseless.push(`the name ${JSON.stringify(unknown.n)}: what it is for is not known`);
    return unknown !== undefined;
  }

  #isDoubtful(inode: number, position: LogPosition): boolean {
    const begun = this.#begun.get(inode) ?? this.#damaged.begin;
    const hasGap = this.#damaged.gaps.some(({ from }) => from >= begun && from < position);
    if (hasGap) this.#doubtful.add(inode);
    return hasGap;
  }

  /** Of a checkpoint: said again with the bytes themselves, as the places that it refers to stay behind. */
  async #takeOverlay(
    { i, which, parts, g, unsnapshotted }: records.OverlayRecord,
    position: LogPosition,
  ): Promise<void> {
    const pieces = this.#parts.take(i, parts);
    const inode = this.#tree.inodes.get(i);
    if (inode?.content === undefined) {
      this.#senseless.push(`kind ${kinds.overlay}: no such file ${i}`);
      return;
    }
    this.#begun.set(i, position);
    if (which === 'base') {
      // what is not there is still asked of the servers
      await this.#sayBytes(kinds.baseWrite, i, parseOverlay(pieces));
      return;
    }
    // the same as the snapshot, which was said just before
    if (which === 'overlay' && !unsnapshotted && g > 0) return;
    const isWhole = await this.#sayContent(i, parseOverlay(pieces));
    if (which === 'overlay') return;
    if (!isWhole) {
      this.#doubtful.add(i);
      return;
    }
    const { modified, changed } = inode;
    const pair = ({ seconds, nanoseconds }: typeof modified) => [seconds, nanoseconds] as const;
    const record: records.SnapshotRecord = { i, g, mt: pair(modified), ct: pair(changed) };
    await this.#say(kinds.snapshot, records.encodeJson(record));
  }

  /** False if some of it cannot be read. */
  async #sayContent(i: number, state: OverlayState): Promise<boolean> {
    for (const size of [state.baseBytes, state.sizeBytes]) {
      const record: records.TruncateRecord = { i, size };
      await this.#say(kinds.truncate, records.encodeJson(record));
    }
    return this.#sayBytes(kinds.write, i, state);
  }

  async #sayBytes(kind: number, i: number, { extents }: OverlayState): Promise<boolean> {
    let isWhole = true;
    for (const { start, end, position, skip } of extents) {
      const payload = await this.#damaged.read(position);
      const data = payload?.subarray(
        records.WRITE_HEADER_BYTES + skip,
        records.WRITE_HEADER_BYTES + skip + end - start,
      );
      if (data?.length !== end - start) {
        isWhole = false;
        continue;
      }
      await this.#say(kind, records.encodeWriteHeader(i, start), data);
    }
    return isWhole;
  }

  /** A record that stands for something else that was there. */
  async #say(kind: number, ...parts: Uint8Array[]): Promise<void> {
    if (this.#makesSense({ kind, payload: concatBytes(parts), position: 0 })) await this.#keep(kind, ...parts);
  }

  async #keep(kind: number, ...parts: Uint8Array[]): Promise<void> {
    await this.#target.whenReady();
    this.#target.append(kind, parts, 'drain');
    if (++this.#kept % SYNC_EVERY_RECORDS === 0) await this.#target.sync();
  }
}

/** For a tree that is only tried out: nothing is kept. */
const dryLog: Log = {
  append: () => 0,
  whenReady: () => undefined,
  sync: async () => {},
  read: async () => new Uint8Array(0),
  hold: () => {},
  drop: () => {},
  finishReplay: async () => {},
  checkpointDue: false,
  checkpoint: async () => {},
  usage: () => ({ bytes: 0, freeBytes: 0 }),
  close: async () => {},
};
