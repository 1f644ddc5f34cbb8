/** What a directory says about a link beside the capabilities: mutable spec 12.4. */
import { isTahoeError } from '../errors/tahoe-error.js';
import { type JsonObject, type JsonValue, jsonNumber, parseJson, writtenFloat } from './metadata-json.js';

export type Metadata = JsonObject;

/** Metadata of a stored entry; undefined if what is stored is not a JSON object (the entry itself is still good). */
export function parseMetadata(bytes: Uint8Array): Metadata | undefined {
  try {
    const value = parseJson(bytes);
    return value instanceof Map ? value : undefined;
  } catch (error) {
    if (isTahoeError(error, 'corrupt')) return undefined;
    throw error;
  }
}

/**
 * Metadata of a link that is being set. `given` replaces all of the user's keys of the link it replaces (`old`); without
 * it they are kept. The times under `tahoe` are kept by the directory alone: nothing given can set them.
 */
export function updateMetadata(old: Metadata | undefined, given: Metadata | undefined, nowSeconds: number): Metadata {
  const updated = new Map<string, JsonValue>(given ?? old ?? []);
  if (given !== undefined) {
    updated.delete('tahoe');
    const kept = old?.get('tahoe');
    if (kept !== undefined) updated.set('tahoe', kept);
  }
  const now = writtenFloat(nowSeconds);
  const previous = updated.get('tahoe');
  const times = new Map<string, JsonValue>(previous instanceof Map ? (previous as Metadata) : []);
  if (!times.has('linkcrtime')) times.set('linkcrtime', old?.get('ctime') ?? now);
  times.set('linkmotime', now);
  updated.set('tahoe', times);
  return updated;
}

/**
 * True if the link must not carry write authority: the child is then stored with its read capability only. Whatever
 * Python takes for true counts.
 */
export function isNoWrite(metadata: Metadata): boolean {
  const value = metadata.get('no-write');
  if (value === undefined || value === null || value === false || value === '') return false;
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0;
  return jsonNumber(value) !== 0;
}

/** When the link was made and last changed, in seconds since the epoch; undefined where the directory does not say. */
export function linkTimes(metadata: Metadata): {
  readonly createdSeconds: number | undefined;
  readonly changedSeconds: number | undefined;
} {
  const times = metadata.get('tahoe');
  if (!(times instanceof Map)) return { createdSeconds: undefined, changedSeconds: undefined };
  const map = times as Metadata;
  return { createdSeconds: jsonNumber(map.get('linkcrtime')), changedSeconds: jsonNumber(map.get('linkmotime')) };
}
