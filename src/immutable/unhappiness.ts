import type { ServerId } from '../encoding/brands.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Encoding } from './immutable.js';
import { type SharePlacement, serversOfHappiness } from './placement.js';

/** What an upload knows when it gives up. */
export interface UnhappyUpload {
  readonly encoding: Pick<Encoding, 'sharesNeeded' | 'sharesHappy' | 'sharesTotal'>;
  readonly placement: SharePlacement;
  readonly failures: ReadonlyMap<ServerId, unknown>;
  /** Servers that took nothing although they answered. */
  readonly refused: ReadonlySet<ServerId>;
  readonly serversAsked: number;
  readonly nicknameOf: (server: ServerId) => string;
}

/** The error of kind `unhappy`, in one of three variants (immutable spec 8.6). */
export function unhappiness(upload: UnhappyUpload): TahoeError {
  const causes = [...upload.failures.values()];
  return new TahoeError([shortfall(upload), ...details(upload)].join('; '), {
    kind: 'unhappy',
    op: 'immutable.upload',
    cause: causes.length === 0 ? undefined : new AggregateError(causes, 'failures of the servers'),
  });
}

function shortfall({ encoding, placement, serversAsked }: UnhappyUpload): string {
  const { sharesNeeded: k, sharesHappy: happy, sharesTotal: n } = encoding;
  const holders = new Set([...placement.values()].flatMap((servers) => [...servers])).size;
  const happiness = serversOfHappiness(placement);
  const wanted = `any ${k} of ${n} shares recover the file and ${happy} servers should each hold a share of its own`;
  if (serversAsked === 0) return `no storage server is connected; ${wanted}`;
  if (holders < k)
    return `only ${holders} of ${serversAsked} servers hold or accept shares, fewer than ${k}; ${wanted}`;
  if (happiness < k) {
    return `${holders} servers hold or accept shares, but so unevenly that only ${happiness} can count; ${wanted}`;
  }
  return `shares can be spread over ${happiness} servers, fewer than ${happy}; ${wanted}`;
}

function details({ encoding, placement, failures, refused, nicknameOf }: UnhappyUpload): string[] {
  const shares = [...placement].sort(([a], [b]) => a - b);
  const map = shares.map(([share, servers]) => `${share} on ${[...servers].map(nicknameOf).join('+')}`);
  const lines = [`placed ${shares.length} of ${encoding.sharesTotal}${map.length > 0 ? ` (${map.join(', ')})` : ''}`];
  for (const [server, error] of failures) lines.push(`${nicknameOf(server)} failed: ${describeError(error)}`);
  const full = [...refused].filter((server) => !failures.has(server)).map(nicknameOf);
  if (full.length > 0) lines.push(`no space or busy: ${full.join(', ')}`);
  return lines;
}
