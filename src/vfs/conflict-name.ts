/** Names of conflict copies: `stem.conflict-<node>-<UTC yyyymmddThhmmssZ><-n>.ext` (vfs blueprint 7). Pure. */
import { linkTimes, parseMetadata } from '../dirnode/metadata.js';
import type { PackedEntry } from '../dirnode/packing.js';
import { encodeUtf8 } from '../encoding/bytes.js';
import { NAME_BYTES_MAX } from './names.js';

/** What a node's name may be in a file name. */
const NODE_CHARACTERS_MAX = 24;
const EXTENSION_BYTES_MAX = 32;
/** Of an entry that does not say who wrote it. */
const UNKNOWN_WRITER = 'other';

/** A node's nickname as a part of file names; `node` if nothing of it can be used. */
export function nodeNameOf(nickname: string): string {
  const usable = nickname.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '');
  return usable.slice(0, NODE_CHARACTERS_MAX) || 'node';
}

/**
 * The first free name for a copy of `name`. `isTaken` is asked for each candidate, in a fixed order. The stem is cut at
 * a character so that the whole fits; a name without one, such as `.profile`, has no extension.
 */
export function conflictName(
  name: string,
  mark: { readonly node: string; readonly wallMs: number },
  isTaken: (candidate: string) => boolean,
): string {
  const dot = name.lastIndexOf('.');
  const hasExtension = dot > 0 && encodeUtf8(name.slice(dot)).length <= EXTENSION_BYTES_MAX && dot < name.length - 1;
  const [stem, extension] = hasExtension ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  for (let number = 1; ; number++) {
    const suffix = `.conflict-${mark.node}-${utc(mark.wallMs)}${number === 1 ? '' : `-${number}`}${extension}`;
    const candidate = shortened(stem, suffix);
    if (!isTaken(candidate)) return candidate;
  }
}

/**
 * A name for a copy that depends on nothing but the entry and the names that are taken, so that all nodes which merge
 * the same versions choose the same one.
 */
export function copyNameOf(entry: PackedEntry, isTaken: (candidate: string, copy: PackedEntry) => boolean): string {
  const { node, seconds } = authorOf(entry);
  const mark = { node: node ?? UNKNOWN_WRITER, wallMs: seconds * 1000 };
  return conflictName(entry.name, mark, (candidate) => isTaken(candidate, entry.renamed(candidate)));
}

export interface EntryAuthor {
  readonly node: string | undefined;
  /** Of the change that it was; programs of other make that change the entry keep it. */
  readonly id: string | undefined;
  /** When the link was changed last, whoever did it. */
  readonly seconds: number;
}

/** Which node wrote an entry and when, as far as it says. */
export function authorOf(entry: PackedEntry): EntryAuthor {
  const metadata = parseMetadata(entry.metadataJson);
  const unix = metadata?.get('unix');
  const stamp = (unix instanceof Map ? unix : new Map()) as ReadonlyMap<string, unknown>;
  const [by, id] = [stamp.get('by'), stamp.get('id')];
  const changed = metadata === undefined ? undefined : linkTimes(metadata).changedSeconds;
  const seconds = changed !== undefined && changed >= 0 && changed < 253_402_300_800 ? changed : 0;
  const node = typeof by === 'string' ? nodeNameOf(by) : undefined;
  return { node, id: typeof id === 'string' ? id : undefined, seconds };
}

function utc(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/[-:]|\.\d+/g, '');
}

/** `stem` and `suffix`, without so many of the stem's last characters that both fit, in normal form C. */
function shortened(stem: string, suffix: string): string {
  const characters = [...stem];
  for (;;) {
    const name = (characters.join('') + suffix).normalize('NFC');
    if (encodeUtf8(name).length <= NAME_BYTES_MAX) return name;
    characters.pop();
  }
}
