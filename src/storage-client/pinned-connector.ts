import { createHash, timingSafeEqual } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import { TahoeError } from '../errors/tahoe-error.js';

/**
 * A connector for undici that hands a connection on only after its certificate's public key has the pinned hash
 * (storage-http spec 3.2): until then the pool has no socket, so no byte of a request can leave. Sessions are never
 * resumed, since a resumed one shows no certificate; showing none is a mismatch.
 */
export function pinnedConnector(spkiHash: string, timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({
    rejectUnauthorized: false,
    maxCachedSessions: 0,
    allowH2: false,
    timeout: timeoutMs,
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20',
    minVersion: 'TLSv1.2',
  });
  const pinned = Buffer.from(spkiHash, 'base64url');
  return (options, callback) => {
    connect(options, (...result) => {
      const [error, socket] = result;
      if (error !== null) {
        callback(error, null);
      } else if (!hasPinnedKey(socket, pinned)) {
        socket.destroy();
        const message = 'the server at this address has another key than its NURL says';
        callback(new TahoeError(message, { kind: 'unreachable', op: 'storage.connect' }), null);
      } else {
        callback(null, socket);
      }
    });
  };
}

function hasPinnedKey(socket: unknown, pinned: Uint8Array): boolean {
  if (!(socket instanceof TLSSocket)) return false;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return false;
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  const hash = createHash('sha256').update(spki).digest();
  return hash.length === pinned.length && timingSafeEqual(hash, pinned);
}
