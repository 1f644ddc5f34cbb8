/** Signed announcements: introducer spec 9.3. */
import { ed25519PublicKey, ed25519Sign, ed25519Verify } from '../crypto/ed25519.js';
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import type { ServerId } from '../encoding/brands.js';
import { decodeLatin1, decodeUtf8, encodeAscii, encodeUtf8 } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { PbValue } from '../foolscap/pb-value.js';
import type { Announcement, AnnouncementFields } from './introducer.js';

/** As it travels. Forwarded as it came: the signature covers these very bytes. */
export interface SignedAnnouncement {
  /** UTF-8 JSON. */
  readonly message: Uint8Array;
  /** `v0-` and base32. */
  readonly signature: Uint8Array;
  /** `v0-` and base32. */
  readonly key: Uint8Array;
}

const MAX_MESSAGE_BYTES = 64 * 1024;
/** What is deeper could exhaust the stack of whoever walks it. */
const MAX_JSON_DEPTH = 32;
const PREFIX = 'v0-';

export function signAnnouncement(fields: AnnouncementFields, signingSeed: Uint8Array): SignedAnnouncement {
  const message = encodeUtf8(JSON.stringify(fields));
  return {
    message,
    signature: encodeAscii(PREFIX + encodeBase32(ed25519Sign(signingSeed, message))),
    key: encodeAscii(PREFIX + encodeBase32(ed25519PublicKey(signingSeed))),
  };
}

/** Kind `protocol` for anything but an announcement signed by the key that it names. */
export function verifyAnnouncement({ message, signature, key }: SignedAnnouncement): Announcement {
  if (message.length > MAX_MESSAGE_BYTES) throw refused('it is too large');
  const publicKey = decodeVersioned(key, 32, 'key');
  if (!ed25519Verify(publicKey, message, decodeVersioned(signature, 64, 'signature'))) {
    throw refused('its signature is wrong');
  }
  return announcementOf(decodeLatin1(key) as ServerId, parseFields(message));
}

/** Kind `protocol` for fields that are no announcement. */
export function announcementOf(serverId: ServerId, fields: unknown): Announcement {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw refused('it is no JSON object');
  if (!isShallow(fields, MAX_JSON_DEPTH)) throw refused('it is nested too deeply');
  const serviceName: unknown = (fields as AnnouncementFields)['service-name'];
  if (typeof serviceName !== 'string') throw refused('it names no service');
  return { serverId, serviceName, fields: fields as AnnouncementFields };
}

export function announcementToPb({ message, signature, key }: SignedAnnouncement): PbValue {
  return { type: 'tuple', items: [message, signature, key] };
}

/** Kind `protocol` for a value of another form. Proves nothing yet. */
export function announcementFromPb(value: PbValue | undefined): SignedAnnouncement {
  const items = typeof value === 'object' && value !== null && 'items' in value ? value.items : [];
  const [message, signature, key] = items;
  if (
    items.length !== 3 ||
    !(message instanceof Uint8Array && signature instanceof Uint8Array && key instanceof Uint8Array)
  ) {
    throw refused('it is no tuple of three byte strings');
  }
  return { message, signature, key };
}

function parseFields(message: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(message));
  } catch (cause) {
    throw refused('it is no JSON', cause);
  }
}

function decodeVersioned(text: Uint8Array, length: number, what: string): Uint8Array {
  const string = decodeLatin1(text);
  if (!string.startsWith(PREFIX)) throw refused(`its ${what} is of an unknown version`);
  try {
    const bytes = decodeBase32(string.slice(PREFIX.length));
    if (bytes.length === length) return bytes;
  } catch (error) {
    if (!isTahoeError(error, 'invalid')) throw error;
  }
  throw refused(`its ${what} is malformed`);
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((child) => isShallow(child, depth - 1));
}

function refused(reason: string, cause?: unknown): TahoeError {
  return new TahoeError(`not an announcement: ${reason}`, { kind: 'protocol', op: 'introducer.verify', cause });
}
