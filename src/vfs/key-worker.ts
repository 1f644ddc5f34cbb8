/** The worker of key-pool.ts: one key pair for each message. */
import { parentPort } from 'node:worker_threads';
import { generateRsaKeyDer } from '../crypto/rsa.js';

parentPort?.on('message', () => {
  parentPort?.postMessage(generateRsaKeyDer());
});
