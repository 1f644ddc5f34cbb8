/** Metadata of one entry changed on two sides, merged field by field: vfs blueprint 7. Pure. */
import type { Metadata } from '../dirnode/metadata.js';
import { formatJson, type JsonValue } from '../dirnode/metadata-json.js';
import { bytesEqual } from '../encoding/bytes.js';

/** Objects whose members are fields of their own; everything else is one field. */
const nested: Readonly<Record<string, readonly string[]>> = { '': ['unix'], unix: ['xattrs'] };

/**
 * A field that only one side changed is as that side has it, one that both changed is ours. Without an ancestor ours is
 * kept wherever it says anything. The link times under `tahoe` are theirs: only the directory's writer sets them.
 */
export function mergeMetadata(ancestor: Metadata | undefined, ours: Metadata, theirs: Metadata): Metadata {
  const merged = mergeObjects('', ancestor, ours, theirs);
  const times = theirs.get('tahoe') ?? ours.get('tahoe');
  if (times !== undefined) merged.set('tahoe', times);
  return merged;
}

function mergeObjects(
  path: string,
  ancestor: Metadata | undefined,
  ours: Metadata,
  theirs: Metadata,
): Map<string, JsonValue> {
  const merged = new Map<string, JsonValue>();
  for (const key of new Set([...ours.keys(), ...theirs.keys()])) {
    const sides = [ancestor?.get(key), ours.get(key), theirs.get(key)] as const;
    const value = nested[path]?.includes(key) ? mergeNested(key, sides) : mergeField(ancestor !== undefined, sides);
    if (value !== undefined) merged.set(key, value);
  }
  return merged;
}

type Sides = readonly [JsonValue | undefined, JsonValue | undefined, JsonValue | undefined];

function mergeNested(path: string, [before, ours, theirs]: Sides): JsonValue | undefined {
  const merged = mergeObjects(path, asObject(before), asObject(ours) ?? new Map(), asObject(theirs) ?? new Map());
  return merged.size > 0 ? merged : undefined;
}

function mergeField(hasAncestor: boolean, [before, ours, theirs]: Sides): JsonValue | undefined {
  if (!hasAncestor) return ours ?? theirs;
  return isEqual(ours, before) ? theirs : ours;
}

function asObject(value: JsonValue | undefined): Metadata | undefined {
  return value instanceof Map ? (value as Metadata) : undefined;
}

function isEqual(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return bytesEqual(formatJson(a), formatJson(b));
}
