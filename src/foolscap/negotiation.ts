/** Who the two tubs are, which of them decides, and what: introducer spec 5. */
import type { Duplex } from 'node:stream';
import { TahoeError } from '../errors/tahoe-error.js';
import { negotiationError, parseHeaders, readHeaderBlock, serializeHeaders } from './header-block.js';
import { VOCABULARY_HASH } from './vocabulary.js';

const BANANA_VERSION = 3;
const VOCABULARY_TABLE = 1;

/** A connection as both sides call it: the master's incarnation and its count of connections to this slave. */
export interface ConnectionName {
  readonly masterIncarnation: string;
  readonly sequenceNumber: number;
}

/** What a tub says of itself. */
export interface Hello {
  readonly tubId: string;
  /** 16 hexadecimal digits, other ones after each start; undefined from old peers. */
  readonly incarnation: string | undefined;
  /** From the TCP client: the last connection that it remembers; `none` for none, undefined if it says nothing. */
  readonly lastConnection: ConnectionName | 'none' | undefined;
}

/** The greater tub id decides, whoever has called. */
export function isMaster(ownTubId: string, peerTubId: string): boolean {
  return ownTubId > peerTubId;
}

export function sendHello(stream: Duplex, { tubId, incarnation = '', lastConnection }: Hello): void {
  const last =
    lastConnection === undefined || lastConnection === 'none' ? lastConnection : serializeConnection(lastConnection);
  stream.write(
    serializeHeaders({
      'banana-negotiation-range': `${BANANA_VERSION} ${BANANA_VERSION}`,
      'initial-vocab-table-range': `0 ${VOCABULARY_TABLE}`,
      'my-incarnation': incarnation,
      'my-tub-id': tubId,
      ...(last === undefined ? {} : { 'last-connection': last === 'none' ? 'none 0' : last }),
    }),
  );
}

/** Kinds `protocol` (no Hello, no common version, an error of the peer), `unreachable`. */
export async function readHello(stream: Duplex, signal: AbortSignal): Promise<Hello> {
  const headers = await readBlock(stream, signal);
  const tubId = headers.get('my-tub-id');
  if (tubId === undefined || !/^[a-z2-7]{32}$/.test(tubId)) throw negotiationError('no tub id of its own');
  if (!isInRange(headers.get('banana-negotiation-range'), BANANA_VERSION)) {
    throw negotiationError('no version of the protocol that is known here');
  }
  if (!isInRange(headers.get('initial-vocab-table-range'), VOCABULARY_TABLE)) {
    throw negotiationError('no vocabulary that is known here');
  }
  return {
    tubId,
    incarnation: headers.get('my-incarnation')?.slice(0, 64),
    lastConnection: parseLastConnection(headers.get('last-connection')),
  };
}

export function sendDecision(stream: Duplex, connection: ConnectionName): void {
  stream.write(
    serializeHeaders({
      'banana-decision-version': String(BANANA_VERSION),
      'initial-vocab-table-index': `${VOCABULARY_TABLE} ${VOCABULARY_HASH}`,
      'current-connection': serializeConnection(connection),
    }),
  );
}

/** Kinds `protocol`, `unreachable`. Undefined if the master gives the connection no name. */
export async function readDecision(stream: Duplex, signal: AbortSignal): Promise<ConnectionName | undefined> {
  const headers = await readBlock(stream, signal);
  if (headers.get('banana-decision-version') !== String(BANANA_VERSION)) {
    throw negotiationError('a decision for another version');
  }
  if (headers.get('initial-vocab-table-index') !== `${VOCABULARY_TABLE} ${VOCABULARY_HASH}`) {
    throw negotiationError('a decision for another vocabulary');
  }
  return parseConnection(headers.get('current-connection'));
}

/** The last thing sent; introducer spec 5.4. Resolves when it is out, or cannot be. */
export function sendRefusal(stream: Duplex, reason: string): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', resolve);
    stream.end(serializeHeaders({ 'banana-decision-version': '1', error: reason }), () => resolve());
  });
}

/**
 * What a master does with another connection to a tub that it has one with (introducer spec 5.5): whether the new one
 * takes the place of the old.
 */
export function replacesConnection(
  existing: { readonly peerIncarnation: string | undefined; readonly connection: ConnectionName },
  offered: Hello,
): boolean {
  const { incarnation, lastConnection } = offered;
  if (incarnation !== undefined && incarnation !== existing.peerIncarnation) return true;
  if (incarnation === undefined || lastConnection === undefined || lastConnection === 'none') return false;
  if (lastConnection.masterIncarnation !== existing.connection.masterIncarnation) return true;
  return lastConnection.sequenceNumber === existing.connection.sequenceNumber;
}

async function readBlock(stream: Duplex, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const headers = parseHeaders(await readHeaderBlock(stream, signal));
  const error = headers.get('error');
  if (error === undefined) return headers;
  throw new TahoeError(`the peer refuses the connection: ${JSON.stringify(error.slice(0, 200))}`, {
    kind: 'protocol',
    op: 'foolscap.negotiate',
  });
}

function isInRange(text: string | undefined, wanted: number): boolean {
  const match = /^(\d{1,9}) (\d{1,9})$/.exec(text ?? '');
  return match !== null && Number(match[1]) <= wanted && wanted <= Number(match[2]);
}

function parseLastConnection(text: string | undefined): ConnectionName | 'none' | undefined {
  return text === 'none 0' ? 'none' : parseConnection(text);
}

function parseConnection(text: string | undefined): ConnectionName | undefined {
  const match = /^([0-9a-f]{1,64}) (\d{1,15})$/.exec(text ?? '');
  return match === null ? undefined : { masterIncarnation: match[1]!, sequenceNumber: Number(match[2]) };
}

function serializeConnection({ masterIncarnation, sequenceNumber }: ConnectionName): string {
  return `${masterIncarnation} ${sequenceNumber}`;
}
