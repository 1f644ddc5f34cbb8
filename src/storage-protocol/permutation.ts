/** The order in which servers are asked for one storage index: immutable spec 8.2. */
import { sha1 } from '../crypto/hashes.js';
import type { StorageIndex } from '../encoding/brands.js';
import { compareBytes } from '../encoding/bytes.js';
import type { StorageServer } from './storage-server.js';

/** Ascending by SHA-1(storage index || permutation seed). */
export function permuteServers<Server extends Pick<StorageServer, 'permutationSeed'>>(
  servers: readonly Server[],
  storageIndex: StorageIndex,
): Server[] {
  return servers
    .map((server) => ({ server, rank: sha1([storageIndex, server.permutationSeed]) }))
    .sort((a, b) => compareBytes(a.rank, b.rank))
    .map(({ server }) => server);
}
