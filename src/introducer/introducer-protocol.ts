/** Names that both sides of the introducer protocol use: introducer spec 9.1 and 9.2. */
import { decodeLatin1, encodeAscii } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { BananaLimits } from '../foolscap/banana-tree.js';
import type { PbArguments, PbValue } from '../foolscap/pb-value.js';

export const INTRODUCER_INTERFACE = 'RIIntroducerPublisherAndSubscriberService_v2.tahoe.allmydata.com';
export const SUBSCRIBER_INTERFACE = 'RIIntroducerSubscriberClient_v2.tahoe.allmydata.com';
/** Every client and every introducer speaks it. */
export const PROTOCOL_VERSION = 'http://allmydata.org/tahoe/protocols/introducer/v2';

/** Many announcements come in one message. */
export const CLIENT_LIMITS: BananaLimits = {
  maxStringBytes: 1024 * 1024,
  maxMessageBytes: 16 * 1024 * 1024,
  maxMessageTokens: 100_000,
  maxDepth: 32,
};

/** Only one announcement, or a few words about a subscriber. */
export const INTRODUCER_LIMITS: BananaLimits = {
  maxStringBytes: 128 * 1024,
  maxMessageBytes: 256 * 1024,
  maxMessageTokens: 1_000,
  maxDepth: 32,
};

/** How much of announcements is kept, in memory and on disk. */
export const INDEX_LIMITS = { maxAnnouncements: 10_000, maxTotalBytes: 12 * 1024 * 1024 };

/** A dict whose keys are byte strings, as the reference insists. */
export function bytesDict(fields: Readonly<Record<string, PbValue>>): PbValue {
  return { type: 'dict', entries: Object.entries(fields).map(([key, value]) => [encodeAscii(key), value]) };
}

/** The value of a key, given as bytes or as text. Undefined if it is not there, or if this is no dict. */
export function dictEntry(value: PbValue | undefined, key: string): PbValue | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value) || value.type !== 'dict') return undefined;
  return value.entries.find(([name]) => textOf(name) === key)?.[1];
}

export function textOf(value: PbValue | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? decodeLatin1(value) : undefined;
}

/** An argument given by its place or by its name. */
export function argument(args: PbArguments, index: number, name: string): PbValue | undefined {
  return args.positional[index] ?? args.named?.get(name);
}

export function refused(what: string): TahoeError {
  return new TahoeError(what, { kind: 'protocol', op: 'introducer.call' });
}
