/** `private/introducer_PETNAME_cache.yaml`: what an introducer has announced, for when it cannot be reached. Introducer spec 9.7. */
import { stringify } from 'yaml';
import type { ServerId } from '../encoding/brands.js';
import { parseYaml } from '../encoding/yaml-text.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import { type Clock, pause } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import type { TextFiles } from '../platform/text-files.js';
import { announcementOf } from './announcement.js';
import type { Announcement } from './introducer.js';

const PAUSE_MS = 1_000;

export class AnnouncementCache {
  readonly #files: TextFiles;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #flushing = new AbortController();
  #wanted: (() => Iterable<Announcement>) | undefined;
  #writing: Promise<void> | undefined;

  /** `files`: the node directory. */
  constructor(files: TextFiles, petname: string, { clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#files = files;
    this.#clock = clock;
    this.#name = `private/introducer_${petname}_cache.yaml`;
    this.#log = log;
  }

  /** Without what cannot be understood, which is logged. */
  async read(): Promise<Announcement[]> {
    try {
      const text = await this.#files.read(this.#name);
      const entries: unknown = text === undefined ? [] : parseYaml(text);
      if (!Array.isArray(entries)) throw new TahoeError('not a list', { kind: 'invalid', op: 'introducer.cache' });
      return entries.flatMap((entry: unknown) => this.#parseEntry(entry));
    } catch (error) {
      this.#log.warn('a cache of announcements is not used', { file: this.#name, error: describeError(error) });
      return [];
    }
  }

  /** Keeps what `announcements` gives when it is written, soon: many changes in a row are one write. */
  keep(announcements: () => Iterable<Announcement>): void {
    this.#wanted = announcements;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when everything is written. For the end. */
  async flush(): Promise<void> {
    this.#flushing.abort();
    await this.#writing;
  }

  #parseEntry(entry: unknown): Announcement[] {
    try {
      const { ann, key_s: key } = entry as { ann: unknown; key_s: unknown };
      return [announcementOf(String(key) as ServerId, ann)];
    } catch (error) {
      this.#log.warn('a cached announcement is left out', { file: this.#name, error: describeError(error) });
      return [];
    }
  }

  async #write(): Promise<void> {
    // The rest of what has just come in belongs into the same write.
    await Promise.resolve();
    while (this.#wanted !== undefined) {
      const announcements = this.#wanted();
      this.#wanted = undefined;
      const entries = Array.from(announcements, ({ serverId, fields }) => ({ ann: fields, key_s: serverId }));
      try {
        await this.#files.write(this.#name, stringify(entries, { lineWidth: 0, aliasDuplicateObjects: false }));
      } catch (error) {
        this.#log.warn('announcements could not be kept', { file: this.#name, error: describeError(error) });
      }
      // However fast somebody announces, the disk has its rest.
      await pause(this.#clock, PAUSE_MS, this.#flushing.signal);
    }
  }
}
