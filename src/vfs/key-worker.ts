/** The worker of key-pool.ts: one key pair for each message. */
import { getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { generateRsaKeyDer } from '../crypto/rsa.js';

/** Nice value: about a tenth of the weight of the threads that somebody waits for. */
const PRIORITY = 10;

// Linux applies it to the calling thread; elsewhere it would slow the whole process. Raising it is not everybody's right.
if (process.platform === 'linux' && getPriority() < PRIORITY) setPriority(PRIORITY);

parentPort?.on('message', () => {
  parentPort?.postMessage(generateRsaKeyDer());
});
