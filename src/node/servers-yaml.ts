/** `private/servers.yaml` for a new client (storage-http spec 7). */
import { stringify } from 'yaml';

export interface ServerEntry {
  readonly id: string;
  readonly nickname: string;
  readonly furl: string;
  readonly nurl: string;
  /** Base32. */
  readonly permutationSeed: string;
}

export function serializeServersYaml(servers: readonly ServerEntry[]): string {
  const storage = servers.map(({ id, nickname, furl, nurl, permutationSeed }) => [
    id,
    {
      ann: {
        nickname,
        'anonymous-storage-FURL': furl,
        'anonymous-storage-NURLs': [nurl],
        'permutation-seed-base32': permutationSeed,
      },
    },
  ]);
  return stringify({ storage: Object.fromEntries(storage) });
}
