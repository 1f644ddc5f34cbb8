/**
 * From a TCP connection to an encrypted one between two tubs: the upgrade request in plain text, then TLS with a
 * certificate on both sides (introducer spec 3 and 4). Certificates prove nothing here; the tub id that the caller
 * compares does.
 */
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { type ConnectionOptions, connect, createSecureContext, TLSSocket } from 'node:tls';
import { sha1 } from '../crypto/hashes.js';
import { encodeBase32 } from '../encoding/base32.js';
import { encodeAscii } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { CertificatePair } from '../transport/certificate.js';
import { negotiationError, parseHeaders, readHeaderBlock } from './header-block.js';

/** An encrypted connection and the tub id of the certificate at its other end. */
export interface SecuredPeer {
  readonly socket: TLSSocket;
  readonly certifiedTubId: string;
}

/** As the TCP client. Kinds `unreachable`, `protocol`; rejects with the reason of `signal`. The caller destroys `raw`. */
export async function secureAsClient(
  raw: Socket,
  target: { readonly tubId: string; readonly host: string },
  certificate: CertificatePair,
  signal: AbortSignal,
): Promise<SecuredPeer> {
  const lines = [`GET /id/${target.tubId} HTTP/1.1`, `Host: ${target.host}`, 'Upgrade: TLS/1.0', 'Connection: Upgrade'];
  // In one write: a storage server of the reference looks at the first eight bytes.
  raw.write(encodeAscii(`${lines.join('\r\n')}\r\n\r\n`));
  const answer = await readHeaderBlock(raw, signal);
  const [status = ''] = answer.split('\r\n');
  if (!/^HTTP\/1\.\d 101\b/.test(status)) throw negotiationError(`a refusal: ${JSON.stringify(status.slice(0, 120))}`);
  if (parseHeaders(answer).get('upgrade')?.includes('TLS/1.0') !== true) throw negotiationError('no offer of TLS');
  return secured(raw, () => connect({ ...tlsOptions(certificate), socket: raw }), 'secureConnect', signal);
}

/** As the TCP server of the tub `ownTubId`. Kinds and `raw` as above. */
export async function secureAsServer(
  raw: Socket,
  ownTubId: string,
  certificate: CertificatePair,
  signal: AbortSignal,
): Promise<SecuredPeer> {
  const request = await readHeaderBlock(raw, signal);
  const wanted = /^GET \/id\/([a-z2-7]+) HTTP\/1\.\d\r\n/.exec(`${request}\r\n`)?.[1];
  if (wanted === undefined) throw negotiationError('something else than an upgrade request');
  if (wanted !== ownTubId) {
    raw.end(`HTTP/1.1 500 Internal Server Error: unknown TubID ${wanted.slice(0, 64)}\r\n\r\n`);
    throw negotiationError('a request for another tub');
  }
  if (parseHeaders(request).get('upgrade')?.includes('TLS/1.0') !== true) throw negotiationError('no wish for TLS');
  raw.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, PB/1.0\r\nConnection: Upgrade\r\n\r\n');
  return secured(raw, () => serverSocket(raw, certificate), 'secure', signal);
}

function serverSocket(raw: Socket, certificate: CertificatePair): TLSSocket {
  const { cert, key, minVersion, secureOptions } = tlsOptions(certificate);
  const secureContext = createSecureContext({ cert, key, minVersion, secureOptions });
  return new TLSSocket(raw, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false });
}

function tlsOptions({ certificate, privateKey }: CertificatePair) {
  return {
    cert: certificate,
    key: privateKey,
    minVersion: 'TLSv1.2',
    // A resumed session would show no certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
    rejectUnauthorized: false,
  } as const satisfies ConnectionOptions;
}

async function secured(
  raw: Socket,
  wrap: () => TLSSocket,
  event: 'secure' | 'secureConnect',
  signal: AbortSignal,
): Promise<SecuredPeer> {
  raw.pause();
  const socket = wrap();
  await new Promise<void>((resolve, reject) => {
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort);
      raw.off('close', onClose);
      socket.off('error', onError).off('close', onClose).off(event, onSecure);
      settle();
    };
    const onSecure = () => finish(resolve);
    const onError = (cause: unknown) => finish(() => reject(noTls(cause)));
    const onClose = () => finish(() => reject(noTls(socket.errored ?? undefined)));
    const onAbort = () => finish(() => reject(signal.reason));
    signal.addEventListener('abort', onAbort, { once: true });
    raw.on('close', onClose);
    socket.on('error', onError).on('close', onClose).on(event, onSecure);
  });
  // What happens to a connection that is given up is nobody's concern; without a listener it would end the process.
  socket.on('error', () => socket.destroy());
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw negotiationError('no certificate');
  return { socket, certifiedTubId: encodeBase32(sha1(certificate.raw)) };
}

function noTls(cause: unknown): TahoeError {
  return new TahoeError('TLS with the peer failed', { kind: 'unreachable', op: 'foolscap.negotiate', cause });
}
