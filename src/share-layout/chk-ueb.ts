/** The URI extension block of an immutable file (immutable spec 3.7): what its capability's hash vouches for. */
import { concatBytes, encodeAscii } from '../encoding/bytes.js';
import { encodeNetstring, NetstringReader } from '../encoding/netstring.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { ChkGeometry } from './chk-geometry.js';

export interface ChkUebHashes {
  /** Of the whole ciphertext. */
  readonly crypttextHash: Uint8Array;
  /** Root of the tree over the ciphertext segments. */
  readonly crypttextRootHash: Uint8Array;
  /** Root of the tree over the shares. */
  readonly shareRootHash: Uint8Array;
}

/** Always the same 11 entries in ascending order of key. */
export function serializeUeb(geometry: ChkGeometry, hashes: ChkUebHashes): Uint8Array {
  const { sharesNeeded: k, sharesTotal: n } = geometry;
  const entries: [string, string | Uint8Array][] = [
    ['codec_name', 'crs'],
    ['codec_params', `${geometry.segmentSize}-${k}-${n}`],
    ['crypttext_hash', hashes.crypttextHash],
    ['crypttext_root_hash', hashes.crypttextRootHash],
    ['needed_shares', `${k}`],
    ['num_segments', `${geometry.segmentCount}`],
    ['segment_size', `${geometry.segmentSize}`],
    ['share_root_hash', hashes.shareRootHash],
    ['size', `${geometry.sizeBytes}`],
    ['tail_codec_params', `${geometry.tailPadded}-${k}-${n}`],
    ['total_shares', `${n}`],
  ];
  return concatBytes(
    entries.flatMap(([key, value]) => [
      encodeAscii(`${key}:`),
      encodeNetstring(typeof value === 'string' ? encodeAscii(value) : value),
    ]),
  );
}

const zeroHash = new Uint8Array(32);

/** Known before anything is encoded, because the hashes have a fixed length. */
export function uebLength(geometry: ChkGeometry): number {
  return serializeUeb(geometry, { crypttextHash: zeroHash, crypttextRootHash: zeroHash, shareRootHash: zeroHash })
    .length;
}

export interface ChkUeb {
  readonly segmentSize: number;
  readonly crypttextRootHash: Uint8Array;
  readonly shareRootHash: Uint8Array;
  /** Every entry as it stands, for a verifier; unknown and historical keys included. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
}

/**
 * Reads a block whose hash has been checked. Kind `corrupt` if it is malformed or lacks what a reader needs.
 * Values are views of `bytes`.
 */
export function parseUeb(bytes: Uint8Array): ChkUeb {
  const entries = new Map<string, Uint8Array>();
  for (let position = 0; position < bytes.length; ) {
    const colon = bytes.indexOf(0x3a, position);
    const key = String.fromCharCode(...bytes.subarray(position, colon < 0 ? position : colon));
    if (!/^[a-zA-Z_-]+$/.test(key) || entries.has(key)) throw corrupt('a bad key');
    const reader = new NetstringReader(bytes, colon + 1);
    entries.set(key, reader.next());
    position = reader.position;
  }
  return {
    segmentSize: integerField(entries, 'segment_size'),
    crypttextRootHash: hashField(entries, 'crypttext_root_hash'),
    shareRootHash: hashField(entries, 'share_root_hash'),
    entries,
  };
}

function integerField(entries: ReadonlyMap<string, Uint8Array>, key: string): number {
  const text = String.fromCharCode(...(entries.get(key) ?? []));
  if (!/^[0-9]{1,15}$/.test(text)) throw corrupt(`no number ${key}`);
  return Number(text);
}

function hashField(entries: ReadonlyMap<string, Uint8Array>, key: string): Uint8Array {
  const hash = entries.get(key);
  if (hash?.length !== 32) throw corrupt(`no hash ${key}`);
  return hash;
}

function corrupt(reason: string): TahoeError {
  return new TahoeError(`malformed URI extension block: ${reason}`, { kind: 'corrupt', op: 'chk-ueb.parse' });
}
