import type { Logger } from '../src/platform/logger.js';
import { EventLoopDevice, pipeInternals } from './event-loop-device.js';
import type { FuseDevice } from './fuse-device.js';
import { WorkerDevice } from './worker-device.js';

export type DeviceReader = 'event-loop' | 'worker';

/**
 * The connection behind a mounted /dev/fuse descriptor, which it closes at the end. Without a preference it is read by
 * the event loop where this version of Node allows it.
 */
export function openDevice(fd: number, log: Logger, reader?: DeviceReader): FuseDevice {
  const internals = reader === 'worker' ? undefined : pipeInternals();
  if (internals !== undefined) return new EventLoopDevice(fd, internals, log);
  if (reader === undefined) log.warn('this version of Node cannot poll the FUSE device; a worker reads it');
  return new WorkerDevice(fd, log);
}
