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

export interface IndexEntry<Kept> {
  readonly announcement: Announcement;
  readonly kept: Kept;
  readonly sizeBytes: number;
  /** Counts the changes of the index: greater than that of all that came before. */
  readonly revision: number;
}

/** `Kept` is what the owner keeps beside each. */
export class AnnouncementIndex<Kept> {
  readonly #limits: IndexLimits;
  readonly #entries = new Map<string, IndexEntry<Kept>>();
  #totalBytes = 0;
  #revision = 0;
  #latest: IndexEntry<Kept> | undefined;

  constructor(limits: IndexLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Of the latest change, 0 before the first. */
  get revision(): number {
    return this.#revision;
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
    this.#revision += 1;
    // Last in the map, so that it is in the order of revisions.
    this.#entries.delete(index);
    this.#latest = { announcement, kept, sizeBytes, revision: this.#revision };
    this.#entries.set(index, this.#latest);
    return old === undefined ? 'new' : 'update';
  }

  /** Those with a greater revision, in the order of revisions. */
  entriesAfter(revision: number): IndexEntry<Kept>[] {
    // Mostly it is only the last one that somebody does not know yet.
    if (this.#latest?.revision === revision + 1) return [this.#latest];
    return [...this.#entries.values()].filter((entry) => entry.revision > revision);
  }

  /** In the order of their revisions. */
  *entries(serviceName?: string): Generator<IndexEntry<Kept>> {
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
