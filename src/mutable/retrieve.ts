/** The contents of one version of a slot from any k of its shares: mutable spec 5.5, 8. */

import { fingerprintOf, writeKeyOf } from '../crypto/derivations.js';
import { importPrivateKey } from '../crypto/rsa.js';
import { bytesEqual, concatBytes } from '../encoding/bytes.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { describeError, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { checkstringLengthMax } from '../share-layout/checkstring.js';
import {
  damagedShare,
  decodeSegment,
  decryptPrivateKey,
  mutableShareTree,
  type SaltedBlock,
  type SegmentRange,
  segmentTable,
} from '../share-layout/mutable-share.js';
import type { ByteRange } from '../storage-protocol/storage-server.js';
import { formatOfShare, type ShareSource } from './share-format.js';
import type { SlotContext } from './slot-context.js';
import type { SigningKeys, SlotKeys } from './slot-keys.js';
import type { SeenShare, SeenVersion, SlotMap } from './slot-map.js';
import { tryInTurn } from './try-in-turn.js';

/** Longer contents are read in ranges: whoever wants them whole would need several times as much memory. */
const WHOLE_READ_MAX = 1024 * 1024 * 1024;

/** All of a version that the map shows: see retrieveRange. */
export async function retrieveVersion(context: SlotContext, keys: SlotKeys, version: SeenVersion): Promise<Uint8Array> {
  return retrieveRange(context, keys, version, { offset: 0, length: version.prefix.dataLength });
}

/**
 * Bytes [offset, offset + length) of a version that the map shows, fewer only at its end; of its segments those that
 * cover the range are fetched, verified and decoded. Shares that are damaged, gone or late are replaced by others; when
 * fewer than k distinct ones are left: kind `stale` if any was overwritten meanwhile, else `unrecoverable`, with the
 * reasons. Kind `too-large` if the segments are more than a gigabyte: whoever writes the file says how long they are.
 */
export async function retrieveRange(
  context: SlotContext,
  keys: SlotKeys,
  version: SeenVersion,
  range: ByteRange,
): Promise<Uint8Array> {
  const { prefix } = version;
  const end = Math.min(range.offset + range.length, prefix.dataLength);
  // the signed length proves that there is nothing
  if (range.offset >= end) return new Uint8Array(0);
  const segments = {
    first: Math.floor(range.offset / prefix.segmentSize),
    end: Math.ceil(end / prefix.segmentSize),
  };
  const start = segments.first * prefix.segmentSize;
  const bytesToRead = Math.min(segments.end * prefix.segmentSize, prefix.dataLength) - start;
  if (bytesToRead > WHOLE_READ_MAX) {
    throw new TahoeError(`${bytesToRead} bytes of a file cannot be read at once`, {
      kind: 'too-large',
      op: 'mutable.retrieve',
    });
  }
  const blocks = await fetchBlocks(context, keys, version, segments);
  const code = erasureCode(prefix.sharesNeeded, prefix.sharesTotal);
  const table = segmentTable(prefix);
  const plaintexts: Uint8Array[] = [];
  for (let segment = segments.first; segment < segments.end; segment++) {
    const ofSegment = new Map([...blocks].map(([share, salted]) => [share, salted[segment - segments.first]!]));
    plaintexts.push(decodeSegment(ofSegment, keys.readKey, table.segmentLength(segment), code));
  }
  const joined = plaintexts.length === 1 ? plaintexts[0]! : concatBytes(plaintexts);
  return joined.subarray(range.offset - start, end - start);
}

/** Verified blocks of k distinct shares, by share number. */
async function fetchBlocks(
  context: SlotContext,
  keys: SlotKeys,
  version: SeenVersion,
  segments: SegmentRange,
): Promise<Map<number, SaltedBlock[]>> {
  const { prefix } = version;
  const shareTree = mutableShareTree(prefix);
  const blocks = new Map<number, SaltedBlock[]>();
  const failures: ShareFailure[] = [];
  const shares = [...version.shares].flatMap(([, copies]) => copies).sort(byShareNumber);

  await tryInTurn(context.clock, shares, prefix.sharesNeeded, async (share) => {
    const { shareNumber, head } = share;
    // there may be copies on other servers
    if (blocks.has(shareNumber)) return false;
    try {
      const source = shareSource(context, keys, share);
      const read = await formatOfShare(head).readBlocks(source, { prefix, shareNumber, shareTree }, segments);
      if (blocks.has(shareNumber)) return false;
      blocks.set(shareNumber, read);
      return true;
    } catch (error) {
      const isStale = isTahoeError(error, 'corrupt') && (await isOverwritten(context, keys, share));
      failures.push({ share, error, isStale });
      if (!isStale) reportDamage(context, keys, share, error);
      return false;
    }
  });
  if (blocks.size < prefix.sharesNeeded) throw notEnough(blocks.size, prefix.sharesNeeded, failures);
  return blocks;
}

interface ShareFailure {
  readonly share: SeenShare;
  readonly error: unknown;
  readonly isStale: boolean;
}

/** Key to sign new versions with, from any share that carries it whole. Kind `unrecoverable` if none does. */
export async function retrieveSigningKeys(context: SlotContext, keys: SlotKeys, map: SlotMap): Promise<SigningKeys> {
  const { writeKey } = keys;
  if (writeKey === undefined) throw new TahoeError('no write capability', { kind: 'read-only', op: 'mutable.sign' });
  const reasons: string[] = [];
  const held = [...map.answered.values()].flatMap((shares) => [...shares.values()]);
  const shares = held.filter(({ version }) => version !== undefined).sort(byShareNumber);
  let found: SigningKeys | undefined;
  await tryInTurn(context.clock, shares, 1, async (seen) => {
    try {
      const source = shareSource(context, keys, seen);
      const { encryptedPrivateKey, publicKeyDer } = await formatOfShare(seen.head).readKeys(source);
      const privateKeyDer = decryptPrivateKey(encryptedPrivateKey, writeKey);
      checkKeys(keys, privateKeyDer, publicKeyDer);
      const privateKey = importPrivateKey(privateKeyDer);
      found ??= { privateKey, publicKeyDer: publicKeyDer.slice(), encryptedPrivateKey: encryptedPrivateKey.slice() };
      return true;
    } catch (error) {
      reasons.push(`share ${seen.shareNumber} on ${seen.server.nickname}: ${describeError(error)}`);
      return false;
    }
  });
  if (found !== undefined) return found;
  throw new TahoeError(`no share gave the file's private key (${reasons.join('; ') || 'no shares'})`, {
    kind: 'unrecoverable',
    op: 'mutable.sign',
  });
}

/** The signature says nothing of the keys in the same share, and with one wrong bit in them no new version could be read. */
function checkKeys({ writeKey, fingerprint }: SlotKeys, privateKeyDer: Uint8Array, publicKeyDer: Uint8Array): void {
  const isRight =
    writeKey !== undefined &&
    bytesEqual(writeKeyOf(privateKeyDer), writeKey) &&
    bytesEqual(fingerprintOf(publicKeyDer), fingerprint);
  if (!isRight) throw new TahoeError("keys that are not the file's", { kind: 'corrupt', op: 'mutable.sign' });
}

/** A share on its server; bytes that the map round brought are not asked for again. */
export function shareSource(context: SlotContext, keys: SlotKeys, seen: SeenShare): ShareSource {
  const { server, shareNumber, head } = seen;
  const address = { storageIndex: keys.storageIndex, shareNumber };
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    if (offset + length <= head.length) return head.subarray(offset, offset + length);
    // much may take longer than a small request, but not for ever: a floor of 64 KiB/s
    const timeoutMs = context.requestTimeoutMs + length / 64;
    const bytes = await server.readSlotShare(address, { offset, length }, { timeoutMs });
    if (bytes.length !== length) throw damagedShare(`${bytes.length} bytes instead of ${length}`);
    return bytes;
  };
  return { head, read };
}

/** What does not fit the version any more may simply be a newer one: that is nobody's fault. */
async function isOverwritten(context: SlotContext, keys: SlotKeys, seen: SeenShare): Promise<boolean> {
  const address = { storageIndex: keys.storageIndex, shareNumber: seen.shareNumber };
  const range = { offset: 0, length: checkstringLengthMax };
  try {
    const now = await seen.server.readSlotShare(address, range, { timeoutMs: context.requestTimeoutMs });
    return !bytesEqual(now, seen.head.subarray(0, checkstringLengthMax));
  } catch (error) {
    context.log.debug('a share could not be looked at again', { error: describeError(error) });
    return false;
  }
}

function byShareNumber(a: SeenShare, b: SeenShare): number {
  return a.shareNumber - b.shareNumber;
}

/** Advice only: whether the server takes it does not matter to this read. */
function reportDamage(context: SlotContext, keys: SlotKeys, seen: SeenShare, error: unknown): void {
  context.log.warn('mutable share could not be used', {
    server: seen.server.nickname,
    share: seen.shareNumber,
    error: describeError(error),
  });
  if (!isTahoeError(error, 'corrupt')) return;
  const address = { storageIndex: keys.storageIndex, shareNumber: seen.shareNumber };
  seen.server
    .adviseCorrupt('mutable', address, describeError(error), { timeoutMs: context.requestTimeoutMs })
    .catch((refusal: unknown) => context.log.debug('corruption advice not taken', { error: describeError(refusal) }));
}

function notEnough(found: number, needed: number, failures: readonly ShareFailure[]): TahoeError {
  const reasons = failures.map(
    ({ share, error }) => `share ${share.shareNumber} on ${share.server.nickname}: ${describeError(error)}`,
  );
  return new TahoeError(
    `${found} good shares of a mutable file found, ${needed} needed (${reasons.join('; ') || 'no shares'})`,
    { kind: failures.some(({ isStale }) => isStale) ? 'stale' : 'unrecoverable', op: 'mutable.retrieve' },
  );
}
