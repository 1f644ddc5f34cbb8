/** The latest announcement of each server and service, safe against replays: introducer spec 9.5. */
import { isDeepStrictEqual } from 'node:util';
import type { Announcement } from './introducer.js';

/** What became of an announcement. Only `new` and `update` count. */
export type Verdict = 'new' | 'update' | 'duplicate' | 'replay' | 'full';

/** Whoever knows an introducer's FURL can make servers as they like, so there must be an end somewhere. */
export interface IndexLimits {
  readonly maxAnnouncements: number;
  readonly maxTotalBytes: number;
}

interface Entry<Kept> {
  readonly announcement: Announcement;
  readonly kept: Kept;
  readonly sizeBytes: number;
}

/** `Kept` is what the owner keeps beside each. */
export class AnnouncementIndex<Kept> {
  readonly #limits: IndexLimits;
  readonly #entries = new Map<string, Entry<Kept>>();
  #totalBytes = 0;

  constructor(limits: IndexLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `sizeBytes` is that of its message. */
  consider(announcement: Announcement, sizeBytes: number, kept: Kept): Verdict {
    const { serverId, serviceName, fields } = announcement;
    const index = JSON.stringify([serviceName, serverId]);
    const old = this.#entries.get(index);
    if (old !== undefined) {
      if (isDeepStrictEqual(old.announcement.fields, fields)) return 'duplicate';
      if (!replaces(fields.seqnum, old.announcement.fields)) return 'replay';
    }
    const totalBytes = this.#totalBytes + sizeBytes - (old?.sizeBytes ?? 0);
    const isOneTooMany = old === undefined && this.#entries.size >= this.#limits.maxAnnouncements;
    if (isOneTooMany || totalBytes > this.#limits.maxTotalBytes) return 'full';
    this.#totalBytes = totalBytes;
    this.#entries.set(index, { announcement, kept, sizeBytes });
    return old === undefined ? 'new' : 'update';
  }

  /** In the order in which their servers first came. */
  *entries(serviceName?: string): Generator<{ readonly announcement: Announcement; readonly kept: Kept }> {
    for (const entry of this.#entries.values()) {
      if (serviceName === undefined || entry.announcement.serviceName === serviceName) yield entry;
    }
  }
}

/** One without a number may be replaced by anything; one with a number by a greater one only. */
function replaces(seqnum: unknown, old: Announcement['fields']): boolean {
  if (!('seqnum' in old)) return true;
  if (!Number.isInteger(seqnum)) return false;
  return typeof old.seqnum !== 'number' || (seqnum as number) > old.seqnum;
}
