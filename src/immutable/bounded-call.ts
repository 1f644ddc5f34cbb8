import { TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';

export interface Bound {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly op: string;
  readonly subject: string;
  /** The caller's wish to stop. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `call` with a signal that is aborted after `timeoutMs` or with the caller's. Settles at that moment, with kind
 * `timeout` or the reason of the caller's signal, even if the call itself never does.
 */
export function boundedCall<Value>(bound: Bound, call: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => run(bound, call, resolve, reject, true));
}

/** The same, but settles only when the call has: for calls that are lent buffers. */
export function boundedLoan<Value>(bound: Bound, call: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => run(bound, call, resolve, reject, false));
}

function run<Value>(
  { clock, timeoutMs, op, subject, signal }: Bound,
  call: (signal: AbortSignal) => Promise<Value>,
  resolve: (value: Value) => void,
  reject: (error: unknown) => void,
  atOnce: boolean,
): void {
  if (signal?.aborted) {
    reject(signal.reason);
    return;
  }
  const controller = new AbortController();
  const stop = (reason: unknown) => {
    controller.abort(reason);
    if (atOnce) {
      cleanUp();
      reject(reason);
    }
  };
  const onAbort = () => stop(signal?.reason);
  const seconds = timeoutMs / 1000;
  const timer = clock.setTimer(timeoutMs, () =>
    stop(new TahoeError(`no answer within ${seconds} s`, { kind: 'timeout', op, subject })),
  );
  const cleanUp = () => {
    timer.cancel();
    signal?.removeEventListener('abort', onAbort);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  call(controller.signal).then(
    (value) => {
      cleanUp();
      resolve(value);
    },
    (error: unknown) => {
      cleanUp();
      reject(controller.signal.aborted ? controller.signal.reason : error);
    },
  );
}

/** Fails with kind `cancelled` once the signal is aborted, whatever its reason. */
export function throwIfCancelled(signal: AbortSignal | undefined, op: string): void {
  if (signal?.aborted) throw new TahoeError('cancelled', { kind: 'cancelled', op, cause: signal.reason });
}
