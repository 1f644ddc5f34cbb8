/**
 * How long the servers have held what they hold: "unchanged for T_settle" of vfs blueprint 5. An attempt that was under
 * way when the wait began cannot be proven any more when it is over, because T_settle is longer than T_pub.
 */
import type { ServerId } from '../encoding/brands.js';
import { publishTimeMs, sendMs } from './publish.js';
import type { SlotContext } from './slot-context.js';
import type { SlotMap } from './slot-map.js';

/** T_settle beyond T_pub. */
const MARGIN_MS = 5000;

export class RegisterHistory {
  readonly #context: SlotContext;
  /** Of all shares of the largest version. */
  #bytesSeen = 0;
  readonly #seen = new Map<ServerId, { readonly shares: string; readonly sinceMs: number }>();

  constructor(context: SlotContext) {
    this.#context = context;
  }

  /** How long everything has to stand still: longer than an attempt at a file twice as large may take to be proven. */
  get settleMs(): number {
    const marginMs = this.#context.settleMarginMs ?? MARGIN_MS;
    return publishTimeMs(this.#context) + sendMs(2 * this.#bytesSeen) + marginMs;
  }

  /**
   * Takes note of a map. True if every server that answered it was seen with the same shares before, and was asked again
   * no sooner than T_settle after that: an old answer and time that went by prove nothing.
   */
  note(map: SlotMap): boolean {
    for (const { prefix } of map.versions.values()) {
      const { dataLength, sharesTotal, sharesNeeded } = prefix;
      this.#bytesSeen = Math.max(this.#bytesSeen, (dataLength * sharesTotal) / sharesNeeded);
    }
    const { settleMs } = this;
    const nowMs = this.#context.clock.monotonicMs();
    let isSettled = map.answered.size > 0;
    for (const [server, held] of map.answered) {
      const shares = [...held.values()]
        .map(({ shareNumber, version }) => `${shareNumber} ${version ?? 'damaged'}`)
        .sort()
        .join();
      const before = this.#seen.get(server.id);
      if (before?.shares === shares) {
        isSettled &&= map.takenAtMs - before.sinceMs >= settleMs;
      } else {
        this.#seen.set(server.id, { shares, sinceMs: nowMs });
        isSettled = false;
      }
    }
    return isSettled;
  }
}
