import { TahoeError } from '../errors/tahoe-error.js';

/** Where a storage server listens, how to recognise it, and the right to use it. Storage-http spec 2. */
export interface Nurl {
  /** `pb+tor`: reachable through Tor only. */
  readonly scheme: 'pb' | 'pb+tor';
  /** SHA-256 of the certificate's public key (DER SubjectPublicKeyInfo), base64url without padding, 43 characters. */
  readonly spkiHash: string;
  /** DNS name, IPv4 literal, or IPv6 literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** Opaque ASCII; a secret. */
  readonly swissnum: string;
}

const PATTERN =
  /^(pb(?:\+tor)?):\/\/([A-Za-z0-9_-]{43})@(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})\/([\x21\x22\x24-\x2e\x30-\x3e\x40-\x7e]+)#v=1$/;

/** Parses a NURL. Kind `invalid`; the message never repeats the text, which holds a secret. */
export function parseNurl(text: string): Nurl {
  const found = PATTERN.exec(text);
  const port = Number(found?.[5]);
  if (found === null || port < 1 || port > 65535) {
    throw new TahoeError('not a NURL: expected pb://<key hash>@<host>:<port>/<swissnum>#v=1', {
      kind: 'invalid',
      op: 'nurl.parse',
    });
  }
  const [, scheme, spkiHash, ipv6, name, , swissnum] = found as unknown as string[];
  return {
    scheme: scheme === 'pb' ? 'pb' : 'pb+tor',
    spkiHash: spkiHash as string,
    host: (ipv6 ?? name) as string,
    port,
    swissnum: swissnum as string,
  };
}

/** The text form; `parseNurl` of it gives the same value. */
export function serializeNurl(nurl: Nurl): string {
  return `${nurl.scheme}://${nurl.spkiHash}@${serializeHost(nurl.host)}:${nurl.port}/${nurl.swissnum}#v=1`;
}

/** A host as it stands in an authority: IPv6 literals in brackets. */
export function serializeHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
