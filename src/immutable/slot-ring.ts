/** Slots of one upload and who still needs them: a slot is free again when every consumer has let go of it. */
export class SlotRing {
  readonly #free: number[];
  readonly #users: number[];
  readonly #waiting: ((slot: number) => void)[] = [];
  readonly #onStarved: () => void;

  /** `onStarved` is called when somebody waits for a slot: consumers should hurry. */
  constructor(count: number, onStarved: () => void) {
    this.#free = Array.from({ length: count }, (_, slot) => slot);
    this.#users = new Array<number>(count).fill(0);
    this.#onStarved = onStarved;
  }

  /** A free slot with one user, as soon as there is one; rejects with the signal's reason. */
  acquire(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const slot = this.#free.pop();
    if (slot !== undefined) {
      this.#users[slot] = 1;
      return Promise.resolve(slot);
    }
    return new Promise((resolve, reject) => {
      const give = (freed: number) => {
        signal.removeEventListener('abort', onAbort);
        resolve(freed);
      };
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(give), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(give);
      this.#onStarved();
    });
  }

  retain(slot: number): void {
    this.#users[slot]!++;
  }

  release(slot: number): void {
    if (--this.#users[slot]! > 0) return;
    const give = this.#waiting.shift();
    if (give === undefined) {
      this.#free.push(slot);
      return;
    }
    this.#users[slot] = 1;
    give(slot);
  }
}
