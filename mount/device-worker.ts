/** The thread of `WorkerDevice`: reads and hands over until the descriptor ends. */
import fs from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { codeOf } from './device-write.js';
import { messageBytesMax } from './kernel-constants.js';
import type { WorkerReading } from './worker-device.js';

readAll(workerData as number);

function readAll(fd: number): void {
  const buffer = Buffer.allocUnsafeSlow(messageBytesMax);
  try {
    for (;;) {
      const message = Uint8Array.prototype.slice.call(buffer, 0, fs.readSync(fd, buffer));
      post({ message }, [message.buffer as ArrayBuffer]);
    }
  } catch (error) {
    post({ ended: codeOf(error) }, []);
  }
}

function post(reading: WorkerReading, transfer: ArrayBuffer[]): void {
  parentPort?.postMessage(reading, transfer);
}
