/** The servers of a grid as `private/servers.yaml` names them: storage-http spec 7. */
import { stringify } from 'yaml';
import { sha256 } from '../crypto/hashes.js';
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import type { ServerId, TubId } from '../encoding/brands.js';
import { asTubId } from '../encoding/checked-bytes.js';
import { parseYaml } from '../encoding/yaml-text.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { type Nurl, parseNurl, serializeNurl } from '../storage-protocol/nurl.js';
import { HttpsStorageServer } from './https-storage-server.js';

/** What a client must know of a server before it connects. */
export interface ServerAnnouncement {
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  readonly nurls: readonly Nurl[];
}

/** Each is tried: more of them would be an attack on others. */
const MAX_ADDRESSES = 10;

const SERVER_KEY = /^v0-([a-z2-7]{52})$/;
const FURL_TUB_ID = /^pb:\/\/(\w+)@/;

/**
 * The announcements of a servers.yaml. An entry that cannot be used is left out with a warning, as the reference does;
 * kind `invalid` if the whole is no servers.yaml.
 */
export function parseServersYaml(text: string, log: Logger): ServerAnnouncement[] {
  const storage = fieldsOf(fieldsOf(parseYaml(text) ?? {}, 'the file').storage ?? {}, 'storage');
  const announcements: ServerAnnouncement[] = [];
  for (const [id, entry] of Object.entries(storage)) {
    try {
      announcements.push(parseAnnouncement(id as ServerId, fieldsOf(entry, id).ann));
    } catch (error) {
      log.warn('a server in servers.yaml is left out', { server: id, error: describeError(error) });
    }
  }
  return announcements;
}

/** One announcement (storage-http spec 5) of a server with this id. Kind `invalid`. */
export function parseAnnouncement(id: ServerId, announcement: unknown): ServerAnnouncement {
  const fields = fieldsOf(announcement, 'ann');
  const furl = textOf(fields, 'anonymous-storage-FURL');
  const tubText = FURL_TUB_ID.exec(furl)?.[1];
  if (tubText === undefined) throw invalid('anonymous-storage-FURL has no tub id');
  const nurls = fields['anonymous-storage-NURLs'];
  if (!Array.isArray(nurls) || nurls.length === 0) throw invalid('anonymous-storage-NURLs is missing');
  const { nickname } = fields;
  const seed = fields['permutation-seed-base32'];
  return {
    id,
    nickname: typeof nickname === 'string' ? nickname : id,
    permutationSeed: typeof seed === 'string' ? decodeBase32(seed.toLowerCase()) : derivedSeed(id),
    tubId: asTubId(decodeBase32(tubText.toLowerCase())),
    nurls: nurls.map((nurl: unknown) => parseNurl(typeof nurl === 'string' ? nurl : '')),
  };
}

/** A servers.yaml that gives clients of every make these servers. */
export function serializeServersYaml(announcements: readonly ServerAnnouncement[]): string {
  const entries = announcements.map((announcement) => {
    const ann = {
      nickname: announcement.nickname,
      // Clients take the tub id from it and never connect to it.
      'anonymous-storage-FURL': `pb://${encodeBase32(announcement.tubId)}@/http-only`,
      'anonymous-storage-NURLs': announcement.nurls.map(serializeNurl),
      'permutation-seed-base32': encodeBase32(announcement.permutationSeed),
    };
    return [announcement.id, { ann }] as const;
  });
  return stringify({ storage: Object.fromEntries(entries) }, { lineWidth: 0 });
}

/** A client for the announced server, at its addresses without Tor. Kind `unsupported` if it has none. */
export function connectServer(announcement: ServerAnnouncement, clock: Clock): HttpsStorageServer {
  const [nurl, ...otherNurls] = announcement.nurls.filter(({ scheme }) => scheme === 'pb').slice(0, MAX_ADDRESSES);
  if (nurl === undefined) {
    throw new TahoeError('the server is reachable through Tor only', {
      kind: 'unsupported',
      op: 'servers.connect',
      subject: announcement.nickname,
    });
  }
  const { id, nickname, permutationSeed, tubId } = announcement;
  return new HttpsStorageServer({ id, nickname, permutationSeed, tubId, nurl, otherNurls, clock });
}

/** Storage-http spec 5.2. */
function derivedSeed(id: ServerId): Uint8Array {
  const key = SERVER_KEY.exec(id)?.[1];
  return key === undefined ? sha256(new TextEncoder().encode(id)) : decodeBase32(key);
}

function fieldsOf(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} is not a mapping`);
  return value as Record<string, unknown>;
}

function textOf(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw invalid(`${name} is missing`);
  return value;
}

function invalid(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'servers.parse' });
}
