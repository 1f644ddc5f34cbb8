/** What reading and writing slots needs of the world, and the secrets that one slot needs on one server. */
import {
  bucketLeaseSecrets,
  type ClientLeaseSecrets,
  fileLeaseSecrets,
  writeEnablerOf,
} from '../crypto/derivations.js';
import type { StorageIndex, WriteEnabler, WriteKey } from '../encoding/brands.js';
import type { Clock } from '../platform/clock.js';
import type { Entropy } from '../platform/entropy.js';
import type { Logger } from '../platform/logger.js';
import type { LeaseSecrets, StorageServer } from '../storage-protocol/storage-server.js';

export interface SlotContext {
  /** All servers of the grid. Those that are away too: what they hold counts, and comes back with them. */
  servers(): readonly StorageServer[];
  /** False for a server that did not answer last time: it is not waited for. Default: each is asked. */
  isReachable?(server: StorageServer): boolean;
  /** Calls the listener whenever a server answers that did not before. Returns what ends that. Default: nobody notices. */
  onReturn?(listener: () => void): () => void;
  readonly leaseSecrets: ClientLeaseSecrets;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Logger;
  /** How long one server may take for one request; what it did then is unknown. */
  readonly requestTimeoutMs: number;
  /** A proof must be complete within this time of the first test-and-set (T_pub). Default 15 s. */
  readonly publishMs?: number;
  /** By how much T_settle is longer. Default 5 s. */
  readonly settleMarginMs?: number;
}

const failures = new WeakMap<SlotContext, Set<StorageServer>>();

/**
 * Servers that failed when any slot was last written there. Publishes keep it up: one that is full is so for all slots.
 * It lives as long as the context, which a node has one of from its start to its end: then each server is tried again.
 */
export function failedWrites(context: SlotContext): Set<StorageServer> {
  const servers = failures.get(context) ?? new Set();
  failures.set(context, servers);
  return servers;
}

export interface SlotSecrets {
  readonly writeEnabler: WriteEnabler;
  readonly leases: LeaseSecrets;
}

/** Each publish sends them to each server three times; to make them takes twelve hashes. */
const remembered = new WeakMap<WriteKey, WeakMap<StorageServer, SlotSecrets & { readonly context: SlotContext }>>();

export function slotSecrets(
  context: SlotContext,
  server: StorageServer,
  storageIndex: StorageIndex,
  writeKey: WriteKey,
): SlotSecrets {
  const ofSlot = remembered.get(writeKey) ?? new WeakMap();
  const known = ofSlot.get(server);
  if (known?.context === context) return known;
  const secrets = {
    writeEnabler: writeEnablerOf(writeKey, server.tubId),
    leases: bucketLeaseSecrets(fileLeaseSecrets(context.leaseSecrets, storageIndex), server.tubId),
    context,
  };
  remembered.set(writeKey, ofSlot.set(server, secrets));
  return secrets;
}
