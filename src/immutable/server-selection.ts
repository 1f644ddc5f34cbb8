/**
 * Finds a server for every share (immutable spec 8.3). The first round is optimistic: share i is allocated at once on the
 * i-th server of the permuted list. Only if something was there already, was refused or failed, the other candidates are
 * asked and a full placement is computed.
 */

import { uploadSecretOf } from '../crypto/derivations.js';
import type { ServerId, StorageIndex, UploadSecret } from '../encoding/brands.js';
import { isTahoeError, type TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Allocation, LeaseSecrets, StorageServer } from '../storage-protocol/storage-server.js';
import { boundedCall } from './bounded-call.js';
import type { Encoding } from './immutable.js';
import { type Holdings, placementOf, planPlacement, serversOfHappiness } from './placement.js';
import { unhappiness } from './unhappiness.js';

export interface SelectionRequest {
  /** In order of preference, at most 2n. */
  readonly candidates: readonly StorageServer[];
  readonly storageIndex: StorageIndex;
  readonly allocatedSize: number;
  readonly encoding: Encoding;
  readonly leasesFor: (server: StorageServer) => LeaseSecrets;
  readonly clock: Clock;
  readonly queryTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** A share number that a server has agreed to take. */
export interface Grant {
  readonly server: StorageServer;
  readonly shareNumber: number;
  readonly uploadSecret: UploadSecret;
}

export interface Selection {
  /** Complete shares found, by server. */
  readonly held: Holdings;
  readonly grants: readonly Grant[];
  readonly failures: Map<ServerId, unknown>;
  readonly refused: ReadonlySet<ServerId>;
}

const ROUNDS = 8;

/** Kind `unhappy` if happiness cannot be reached; nothing stays allocated then. */
export async function selectServers(request: SelectionRequest): Promise<Selection> {
  const selector = new ServerSelector(request);
  try {
    return await selector.run();
  } catch (error) {
    await abortGrants(selector.grants(), request);
    throw error;
  }
}

/** Gives up what was allocated. Failures do not matter: servers forget unfinished uploads by themselves. */
export async function abortGrants(
  grants: Iterable<Grant>,
  { storageIndex, clock, queryTimeoutMs }: Pick<SelectionRequest, 'storageIndex' | 'clock' | 'queryTimeoutMs'>,
): Promise<void> {
  await Promise.allSettled(
    [...grants].map(({ server, shareNumber, uploadSecret }) =>
      boundedCall({ clock, timeoutMs: queryTimeoutMs, op: 'immutable.upload', subject: server.nickname }, (signal) =>
        server.abortShare({ storageIndex, shareNumber, uploadSecret }, { signal }),
      ),
    ),
  );
}

class ServerSelector {
  readonly #request: SelectionRequest;
  readonly #held = new Map<ServerId, Set<number>>();
  readonly #granted = new Map<ServerId, Map<number, Grant>>();
  readonly #failures = new Map<ServerId, unknown>();
  readonly #refused = new Set<ServerId>();
  /** Servers whose shares are known. */
  readonly #known = new Set<ServerId>();
  /** Servers that have had an allocation, which renews leases. */
  readonly #renewed = new Set<ServerId>();

  constructor(request: SelectionRequest) {
    this.#request = request;
  }

  *grants(): Iterable<Grant> {
    for (const grants of this.#granted.values()) yield* grants.values();
  }

  async run(): Promise<Selection> {
    const undisturbed = await this.#allocate(this.#optimisticPlan());
    if (!undisturbed) await this.#placeFully();
    const happiness = serversOfHappiness(placementOf([this.#held, this.#grantedShares()]));
    if (happiness < this.#request.encoding.sharesHappy || (happiness === 0 && !this.#anyServer()))
      throw this.#unhappy();
    return {
      held: this.#held,
      grants: [...this.grants()],
      failures: this.#failures,
      refused: this.#refused,
    };
  }

  #anyServer(): boolean {
    return this.#request.candidates.length > this.#failures.size;
  }

  #optimisticPlan(): Map<StorageServer, Set<number>> {
    const { candidates, encoding } = this.#request;
    const first = candidates.slice(0, encoding.sharesTotal);
    const plan = new Map<StorageServer, Set<number>>(first.map((server) => [server, new Set()]));
    for (let share = 0; share < encoding.sharesTotal && first.length > 0; share++) {
      plan.get(first[share % first.length]!)!.add(share);
    }
    return plan;
  }

  /** Asks for everything in the plan; true if each server simply accepted what it was asked and had nothing. */
  async #allocate(plan: ReadonlyMap<StorageServer, ReadonlySet<number>>): Promise<boolean> {
    const outcomes = await Promise.all([...plan].map(([server, shares]) => this.#allocateOn(server, shares)));
    return outcomes.every((undisturbed) => undisturbed);
  }

  async #allocateOn(server: StorageServer, shareNumbers: ReadonlySet<number>): Promise<boolean> {
    const { storageIndex, allocatedSize, leasesFor } = this.#request;
    const leases = leasesFor(server);
    const uploadSecret = uploadSecretOf(leases.renew);
    const ask = (wanted: ReadonlySet<number>) =>
      this.#query(server, (signal) =>
        server.allocateShares({ storageIndex, shareNumbers: wanted, allocatedSize, uploadSecret, leases }, { signal }),
      );
    const first = await ask(shareNumbers);
    if (first === undefined) return false;
    const reclaimed = await this.#reclaim(server, refusedOf(shareNumbers, first), uploadSecret);
    const second = reclaimed.size > 0 ? await ask(reclaimed) : undefined;
    const allocation = second === undefined ? first : merged(first, second);
    this.#renewed.add(server.id);
    this.#learnHeld(server, allocation.alreadyHave);
    const grants = this.#granted.get(server.id) ?? new Map<number, Grant>();
    this.#granted.set(server.id, grants);
    for (const shareNumber of allocation.allocated) {
      if (shareNumbers.has(shareNumber)) grants.set(shareNumber, { server, shareNumber, uploadSecret });
    }
    return this.#judge(server, shareNumbers, allocation);
  }

  /** Gives up uploads that this client began before it was killed; those of others are not ours to end. */
  async #reclaim(
    server: StorageServer,
    refused: readonly number[],
    uploadSecret: UploadSecret,
  ): Promise<ReadonlySet<number>> {
    const { storageIndex, clock, queryTimeoutMs: timeoutMs, signal } = this.#request;
    const reclaimed = new Set<number>();
    const abort = async (shareNumber: number) => {
      try {
        await boundedCall({ clock, timeoutMs, op: 'immutable.upload', subject: server.nickname, signal }, (inner) =>
          server.abortShare({ storageIndex, shareNumber, uploadSecret }, { signal: inner }),
        );
        reclaimed.add(shareNumber);
      } catch (error) {
        signal.throwIfAborted();
        // nothing of ours is there: the share was refused for another reason
        if (!isTahoeError(error)) throw error;
      }
    };
    await Promise.all(refused.map(abort));
    return reclaimed;
  }

  #judge(server: StorageServer, asked: ReadonlySet<number>, { alreadyHave, allocated }: Allocation): boolean {
    const refused = refusedOf(asked, { alreadyHave, allocated }).length > 0;
    if (refused) this.#refused.add(server.id);
    return !refused && alreadyHave.size === 0;
  }

  #learnHeld(server: StorageServer, shares: ReadonlySet<number>): void {
    this.#known.add(server.id);
    const held = this.#held.get(server.id) ?? new Set();
    for (const share of shares) if (share < this.#request.encoding.sharesTotal) held.add(share);
    this.#held.set(server.id, held);
  }

  /** Undefined, with the failure noted, if the server does not answer properly in time. */
  async #query<Value>(
    server: StorageServer,
    call: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value | undefined> {
    const { clock, queryTimeoutMs: timeoutMs, signal } = this.#request;
    try {
      return await boundedCall({ clock, timeoutMs, op: 'immutable.upload', subject: server.nickname, signal }, call);
    } catch (error) {
      signal.throwIfAborted();
      if (!isTahoeError(error)) throw error;
      this.#failures.set(server.id, error);
      return undefined;
    }
  }

  /** Rounds of placement until all shares have a home or nothing changes any more. */
  async #placeFully(): Promise<void> {
    await this.#askOthers();
    for (let round = 0; round < ROUNDS; round++) {
      const requests = this.#missingFrom(this.#plan());
      if (requests.size === 0) break;
      await this.#allocate(requests);
    }
    await this.#abortDuplicates();
  }

  async #askOthers(): Promise<void> {
    const { candidates, storageIndex } = this.#request;
    const unknown = candidates.filter(({ id }) => !this.#known.has(id) && !this.#failures.has(id));
    await Promise.all(
      unknown.map(async (server) => {
        const shares = await this.#query(server, (signal) => server.listShares(storageIndex, { signal }));
        if (shares !== undefined) this.#learnHeld(server, shares);
      }),
    );
  }

  #plan(): Map<number, ServerId> {
    const working = this.#request.candidates.map(({ id }) => id).filter((id) => !this.#failures.has(id));
    return planPlacement({
      writeable: working.filter((id) => !this.#refused.has(id)),
      readOnly: working.filter((id) => this.#refused.has(id)),
      sharesTotal: this.#request.encoding.sharesTotal,
      held: this.#held,
      granted: this.#grantedShares(),
    });
  }

  #grantedShares(): Map<ServerId, Set<number>> {
    return new Map([...this.#granted].map(([id, grants]) => [id, new Set(grants.keys())]));
  }

  /** Requests that the plan still needs: new shares, and leases on shares found by asking. */
  #missingFrom(plan: ReadonlyMap<number, ServerId>): Map<StorageServer, Set<number>> {
    const requests = new Map<StorageServer, Set<number>>();
    const byId = new Map(this.#request.candidates.map((server) => [server.id, server]));
    for (const [share, id] of plan) {
      const held = this.#held.get(id)?.has(share) ?? false;
      const granted = this.#granted.get(id)?.has(share) ?? false;
      if (granted || (held && this.#renewed.has(id))) continue;
      if (!held && this.#refused.has(id)) continue;
      const server = byId.get(id)!;
      requests.set(server, (requests.get(server) ?? new Set()).add(share));
    }
    return requests;
  }

  /** Grants that the final plan does not use: a complete copy is elsewhere, or a better place was found. */
  async #abortDuplicates(): Promise<void> {
    const plan = this.#plan();
    const unused = [...this.grants()].filter(({ server, shareNumber }) => plan.get(shareNumber) !== server.id);
    for (const { server, shareNumber } of unused) this.#granted.get(server.id)?.delete(shareNumber);
    await abortGrants(unused, this.#request);
  }

  #unhappy(): TahoeError {
    const { candidates, encoding } = this.#request;
    return unhappiness({
      encoding,
      placement: placementOf([this.#held, this.#grantedShares()]),
      failures: this.#failures,
      refused: this.#refused,
      serversAsked: candidates.length,
      nicknameOf: (id) => candidates.find((server) => server.id === id)?.nickname ?? id,
    });
  }
}

function refusedOf(asked: ReadonlySet<number>, { alreadyHave, allocated }: Allocation): number[] {
  return [...asked].filter((share) => !alreadyHave.has(share) && !allocated.has(share));
}

function merged(first: Allocation, second: Allocation): Allocation {
  return {
    alreadyHave: new Set([...first.alreadyHave, ...second.alreadyHave]),
    allocated: new Set([...first.allocated, ...second.allocated]),
  };
}
