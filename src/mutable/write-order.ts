/**
 * In which order an attempt is written over what stands, so that no moment is without a version that everybody can read
 * and that holds all that was proven: vfs blueprint 5.8, and `StaysReadable` in test/model/DirectoryPublish.tla.
 *
 * While x shares hold the version that is kept and c are known to hold the attempt, any number of the x may be written
 * over at once if x + c >= 2k - 1: whichever of these writes arrive, one of the two has k shares afterwards. As long as
 * it is less only servers that hold nothing of the kept version are written. An attempt that can no longer stand on W
 * shares stops and leaves the rest as it is: then x + c >= W, and that is 2k - 1 or more on all usual grids. Attempts
 * that fail half-way one after the other so never take away more of what can be read than they add.
 */
import type { StorageServer } from '../storage-protocol/storage-server.js';
import type { VersionKey } from './lineage.js';
import type { Quorums, SeenShare, SlotMap } from './slot-map.js';

/** What one server gets. */
export interface WritePlan {
  readonly server: StorageServer;
  /** What the server holds, by share number. */
  readonly held: ReadonlyMap<number, SeenShare>;
  readonly written: readonly number[];
}

export interface WriteGround {
  readonly map: SlotMap;
  readonly quorums: Quorums;
  /** The version that stays readable until the attempt is. Undefined if nobody can read any. */
  readonly kept: VersionKey | undefined;
  /** Servers that are not to be relied on: they failed the last time. */
  readonly doubtful: ReadonlySet<StorageServer>;
}

export class WriteOrder {
  readonly #ground: WriteGround;
  #waiting: readonly WritePlan[];
  /** Share numbers that hold the attempt. */
  readonly #written = new Set<number>();
  /** Share numbers that hold the kept version: nothing was sent that could have replaced it. */
  readonly #untouched: Set<number>;

  /** `plans` in the order that all writers of the slot agree on. */
  constructor(plans: readonly WritePlan[], ground: WriteGround) {
    this.#ground = ground;
    this.#waiting = plans;
    const { map, kept } = ground;
    this.#untouched = new Set(kept === undefined ? [] : map.versions.get(kept)?.shares.keys());
  }

  get written(): ReadonlySet<number> {
    return this.#written;
  }

  /**
   * What may be sent now, at once; to be asked again when all of it has been answered. Empty if nothing is left or W
   * cannot be reached any more. The first server is alone: it decides between writers who race. So is one that failed
   * the last time and that W needs: nothing else is touched if it fails again.
   */
  next(): readonly WritePlan[] {
    const { quorums, doubtful } = this.#ground;
    if (this.#reach(this.#waiting) < quorums.write) return [];
    const certain = this.#waiting.filter(({ server }) => !doubtful.has(server));
    const needsDoubtful = this.#reach(certain) < quorums.write;
    const pool = needsDoubtful ? this.#waiting : certain;
    const spares = pool.filter((plan) => this.#keptNumbers(plan).length === 0);
    const mayOverwrite = this.#mayOverwrite() || spares.length === 0;
    const allowed = mayOverwrite ? pool : spares;
    const probe = needsDoubtful ? allowed.find(({ server }) => doubtful.has(server)) : undefined;
    if (probe !== undefined) return this.#take([probe]);
    if (this.#written.size === 0) return this.#take(allowed.slice(0, 1));
    return this.#take(mayOverwrite ? [...certain, ...this.#waiting.filter((plan) => !certain.includes(plan))] : spares);
  }

  applied({ written }: WritePlan): void {
    for (const number of written) this.#written.add(number);
  }

  #mayOverwrite(): boolean {
    if (this.#ground.kept === undefined) return true;
    return this.#untouched.size + this.#written.size >= 2 * this.#ground.quorums.sharesNeeded - 1;
  }

  #take(plans: readonly WritePlan[]): readonly WritePlan[] {
    this.#waiting = this.#waiting.filter((plan) => !plans.includes(plan));
    for (const plan of plans) for (const number of this.#keptNumbers(plan)) this.#untouched.delete(number);
    return plans;
  }

  #keptNumbers({ held }: WritePlan): number[] {
    return [...held.values()].flatMap(({ shareNumber, version }) =>
      version !== undefined && version === this.#ground.kept ? [shareNumber] : [],
    );
  }

  /** Share numbers that the attempt stands on if all these take it. */
  #reach(plans: readonly WritePlan[]): number {
    return new Set([...this.#written, ...plans.flatMap(({ written }) => written)]).size;
  }
}
