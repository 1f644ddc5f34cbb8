/** The contents of one version of a slot from any k of its shares: mutable spec 8. */

import { importPrivateKey } from '../crypto/rsa.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { describeError, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import {
  decodeSdmf,
  decryptPrivateKey,
  parseSdmfOffsets,
  parseSdmfShare,
  type SdmfShare,
  sdmfShareTree,
  verifySdmfBlock,
} from '../share-layout/sdmf-share.js';
import type { SlotContext } from './slot-context.js';
import type { SigningKeys, SlotKeys } from './slot-keys.js';
import type { SeenShare, SeenVersion, SlotMap } from './slot-map.js';

/**
 * Fetches, verifies and decodes a version that the map shows. Shares that are damaged, gone or late are replaced by
 * others; kind `unrecoverable` with the reasons when fewer than k distinct ones are left.
 */
export async function retrieveVersion(context: SlotContext, keys: SlotKeys, version: SeenVersion): Promise<Uint8Array> {
  const { prefix } = version;
  const tree = sdmfShareTree(prefix);
  const blocks = new Map<number, Uint8Array>();
  const reasons: string[] = [];
  const waiting = [...version.shares].flatMap(([, copies]) => copies).sort(wholeHeadsFirst);

  const fetchOne = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (blocks.has(next.shareNumber)) continue;
      try {
        const share = await fetchShare(context, keys, next);
        verifySdmfBlock(share, next.shareNumber, tree);
        blocks.set(next.shareNumber, share.block);
        return;
      } catch (error) {
        reasons.push(`share ${next.shareNumber} on ${next.server.nickname}: ${describeError(error)}`);
        reportDamage(context, keys, next, error);
      }
    }
  };
  while (blocks.size < prefix.sharesNeeded) {
    if (waiting.length === 0) throw notEnough(blocks.size, prefix.sharesNeeded, reasons);
    await Promise.all(Array.from({ length: prefix.sharesNeeded - blocks.size }, fetchOne));
  }
  return decodeSdmf(prefix, keys.readKey, blocks, erasureCode(prefix.sharesNeeded, prefix.sharesTotal));
}

/** Key to sign new versions with, from any share that carries it whole. Kind `unrecoverable` if none does. */
export async function retrieveSigningKeys(context: SlotContext, keys: SlotKeys, map: SlotMap): Promise<SigningKeys> {
  const { writeKey } = keys;
  if (writeKey === undefined) throw new TahoeError('no write capability', { kind: 'read-only', op: 'mutable.sign' });
  const reasons: string[] = [];
  const shares = [...map.answered.values()].flatMap((held) => [...held.values()]);
  for (const seen of shares.filter(({ version }) => version !== undefined).sort(wholeHeadsFirst)) {
    try {
      const { encryptedPrivateKey, publicKeyDer } = await fetchShare(context, keys, seen);
      const privateKey = importPrivateKey(decryptPrivateKey(encryptedPrivateKey, writeKey));
      return { privateKey, publicKeyDer: publicKeyDer.slice(), encryptedPrivateKey: encryptedPrivateKey.slice() };
    } catch (error) {
      reasons.push(`share ${seen.shareNumber} on ${seen.server.nickname}: ${describeError(error)}`);
    }
  }
  throw new TahoeError(`no share gave the file's private key (${reasons.join('; ') || 'no shares'})`, {
    kind: 'unrecoverable',
    op: 'mutable.sign',
  });
}

/** The whole share, from what the map round brought if that was all of it. */
async function fetchShare(context: SlotContext, keys: SlotKeys, seen: SeenShare): Promise<SdmfShare> {
  const { endOfFile } = parseSdmfOffsets(seen.head);
  if (seen.head.length >= endOfFile) return parseSdmfShare(seen.head);
  const address = { storageIndex: keys.storageIndex, shareNumber: seen.shareNumber };
  // a large directory may take longer than a small request, but not for ever: a floor of 64 KiB/s
  const timeoutMs = context.requestTimeoutMs + endOfFile / 64;
  const bytes = await seen.server.readSlotShare(address, { offset: 0, length: endOfFile }, { timeoutMs });
  const share = parseSdmfShare(bytes);
  const unchanged = bytes.length >= endOfFile && Buffer.compare(bytes.subarray(0, 75), seen.head.subarray(0, 75)) === 0;
  if (!unchanged) throw new TahoeError('overwritten meanwhile', { kind: 'stale', op: 'mutable.retrieve' });
  return share;
}

function wholeHeadsFirst(a: SeenShare, b: SeenShare): number {
  return Number(!isWhole(a)) - Number(!isWhole(b)) || a.shareNumber - b.shareNumber;
}

function isWhole({ head, version }: SeenShare): boolean {
  return version !== undefined && head.length >= parseSdmfOffsets(head).endOfFile;
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

function notEnough(found: number, needed: number, reasons: readonly string[]): TahoeError {
  return new TahoeError(`${found} good shares of a mutable file found, ${needed} needed (${reasons.join('; ')})`, {
    kind: 'unrecoverable',
    op: 'mutable.retrieve',
  });
}
