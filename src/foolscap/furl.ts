/** `pb://TUBID@HINT,HINT/NAME`: where a Foolscap object is, how to recognise its tub, and the right to use it. Introducer spec 2. */
import { TahoeError } from '../errors/tahoe-error.js';
import { serializeHost } from '../storage-protocol/nurl.js';

export interface Furl {
  /** 32 characters of base32: SHA-1 of the tub's certificate. */
  readonly tubId: string;
  /** As they stand: `tcp:HOST:PORT`, `tor:...`. Empty for a tub that cannot be reached. */
  readonly hints: readonly string[];
  /** A secret. */
  readonly name: string;
}

export interface TcpAddress {
  /** DNS name, IPv4 literal, or IPv6 literal without brackets. */
  readonly host: string;
  readonly port: number;
}

const PATTERN = /^pb:\/\/([a-z2-7]{32})[a-z2-7]*@([^/\s]*)\/([\x21-\x7e]+)$/;
const MAX_FURL_CHARACTERS = 4096;

/** Kind `invalid`; the message never repeats the text, which holds a secret. */
export function parseFurl(text: string): Furl {
  const match = text.length > MAX_FURL_CHARACTERS ? null : PATTERN.exec(text.trim());
  if (match === null) {
    throw new TahoeError('not a FURL: expected pb://<tub id>@tcp:<host>:<port>/<name>', {
      kind: 'invalid',
      op: 'furl.parse',
    });
  }
  const hints = match[2]!.split(',').filter((hint) => hint !== '');
  return { tubId: match[1]!, hints, name: match[3]! };
}

export function serializeFurl({ tubId, hints, name }: Furl): string {
  return `pb://${tubId}@${hints.join(',')}/${name}`;
}

/** `tcp:HOST:PORT`, also without `tcp:` as old ones have it; undefined for a hint of another kind. */
export function parseTcpHint(hint: string): TcpAddress | undefined {
  const match = /^(?:tcp:)?(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(hint.trim());
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? match[2]!, port };
}

export function serializeTcpHint({ host, port }: TcpAddress): string {
  return `tcp:${serializeHost(host)}:${port}`;
}
