import type { Clock, Timer } from '../platform/clock.js';

/** Servers that answer at all have answered by then. */
const lateMs = 2000;

/**
 * Tries candidates in their order, as many at a time as successes are missing, until `enough` have succeeded or all have
 * ended. One that is late is not waited for: the next one is begun, and whichever comes first counts. `attempt` says
 * whether it succeeded; what it throws is passed on.
 */
export function tryInTurn<Candidate>(
  clock: Clock,
  candidates: readonly Candidate[],
  enough: number,
  attempt: (candidate: Candidate) => Promise<boolean>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timers = new Set<Timer>();
    let next = 0;
    let succeeded = 0;
    let running = 0;
    let late = 0;
    let isOver = false;
    const end = (settle: () => void) => {
      isOver = true;
      for (const timer of timers) timer.cancel();
      settle();
    };
    const advance = () => {
      if (isOver) return;
      while (next < candidates.length && running - late < enough - succeeded) begin(candidates[next++]!);
      if (succeeded >= enough || running === 0) end(resolve);
    };
    const begin = (candidate: Candidate) => {
      let isLate = false;
      running += 1;
      const timer = clock.setTimer(lateMs, () => {
        isLate = true;
        late += 1;
        advance();
      });
      timers.add(timer);
      attempt(candidate).then(
        (isGood) => {
          timer.cancel();
          timers.delete(timer);
          running -= 1;
          if (isLate) late -= 1;
          if (isGood) succeeded += 1;
          advance();
        },
        (error: unknown) => end(() => reject(error)),
      );
    };
    advance();
  });
}
