import { sha1 } from '../crypto/hashes.js';
import type { StorageIndex } from '../encoding/brands.js';
import { compareBytes } from '../encoding/bytes.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';

/** Servers in the order in which a storage index prefers them (immutable spec 8.2). */
export function permuteServers<Server extends Pick<StorageServer, 'permutationSeed'>>(
  servers: readonly Server[],
  storageIndex: StorageIndex,
): Server[] {
  return servers
    .map((server) => ({ server, place: sha1([storageIndex, server.permutationSeed]) }))
    .sort((a, b) => compareBytes(a.place, b.place))
    .map(({ server }) => server);
}
