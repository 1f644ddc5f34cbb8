/**
 * A program of other make that writes a directory: its versions say nothing of what they were built on, and its entries
 * nothing of who wrote them. What it has seen and what it overwrites is up to the test.
 */
import { type DirectoryCap, parseKnownCap, type SdmfWriteCap } from '../../src/caps/cap.js';
import { type PackedEntry, packDirectory, packEntry, parseDirectory } from '../../src/dirnode/packing.js';
import { encodeUtf8 } from '../../src/encoding/bytes.js';
import { mapForWriting } from '../../src/mutable/map-slot.js';
import { makeAttempt, publishAttempt } from '../../src/mutable/publish.js';
import { readSlot } from '../../src/mutable/read-slot.js';
import { retrieveSigningKeys } from '../../src/mutable/retrieve.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { type SlotKeys, slotKeysOf } from '../../src/mutable/slot-keys.js';
import { quorumsOf } from '../../src/mutable/slot-map.js';
import type { VfsGrid } from './vfs-grid.js';

export type EntriesByName = ReadonlyMap<string, PackedEntry>;

export class ForeignWriter {
  readonly #slots: SlotContext;
  readonly #grid: VfsGrid;
  readonly #keys: SlotKeys;

  constructor(grid: VfsGrid, rootCap: string) {
    this.#grid = grid;
    this.#slots = grid.slots();
    this.#keys = slotKeysOf((parseKnownCap(rootCap) as DirectoryCap<SdmfWriteCap>).inner);
  }

  async entries(): Promise<EntriesByName> {
    const { content } = await readSlot(this.#slots, this.#keys, { quorums: quorumsOf(this.#grid.encoding) });
    return parseDirectory(content, { deepImmutable: false });
  }

  /** A file of a few bytes, as another program links it. */
  file(name: string, changedSeconds = Date.now() / 1000): PackedEntry {
    const metadataJson = encodeUtf8(
      JSON.stringify({ tahoe: { linkcrtime: changedSeconds, linkmotime: changedSeconds } }),
    );
    return packEntry({ name, readCap: 'URI:LIT:krugkidfnzsc4', writeCap: '', metadataJson }, this.#keys.writeKey);
  }

  /** The next version, whatever there is. */
  async publish(entries: EntriesByName): Promise<void> {
    const quorums = quorumsOf(this.#grid.encoding);
    const map = await mapForWriting(this.#slots, this.#keys, { quorums, patienceMs: 50, isComplete: () => true });
    const attempt = makeAttempt(this.#slots, {
      keys: this.#keys,
      signing: await retrieveSigningKeys(this.#slots, this.#keys, map),
      content: packDirectory(entries.values()),
      sequenceNumber: 1 + Math.max(...[...map.versions.values()].map(({ prefix }) => prefix.sequenceNumber)),
      base: undefined,
      quorums,
    });
    const target = { map, usable: [...map.answered.keys()], kept: undefined, quorums, isNew: false };
    const { kind } = await publishAttempt(this.#slots, this.#keys, attempt, target);
    if (kind !== 'proven') throw new Error(`the other program's version is ${kind}`);
  }

  /** A version of it for each name: all of `seen` and the names before. */
  async add(seen: EntriesByName, ...names: readonly string[]): Promise<EntriesByName> {
    let entries = seen;
    for (const name of names) {
      entries = new Map([...entries, [name, this.file(name)]]);
      await this.publish(entries);
    }
    return entries;
  }

  /** A version for each name. */
  async remove(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const entries = new Map(await this.entries());
      if (!entries.delete(name)) throw new Error(`${name} is not there`);
      await this.publish(entries);
    }
  }
}
