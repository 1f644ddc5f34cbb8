/** Time as an argument. Nothing outside src/node says Date.now, performance.now or setTimeout. */
export interface Clock {
  /** Wall time in milliseconds since the epoch, with fraction. For stamps that people read; never for order or durations. */
  wallMs(): number;
  /** Milliseconds of a clock that never goes back. For durations and deadlines. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`. The timer does not keep the process alive. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  /** Cancels the timer; harmless after it has fired. */
  cancel(): void;
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Resolves after `delayMs`, or as soon as the signal is aborted. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = () => {
      timer.cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.setTimer(delayMs, end);
    signal.addEventListener('abort', end);
  });
}
