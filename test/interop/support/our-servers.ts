/** Storage servers of ours: in the process of the test, each with its own directory, port and identity. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { createStorageNode } from '../../../src/node/create-node.js';
import { startNode } from '../../../src/node/node.js';
import type { Cleanup } from '../../support/cleanup.js';
import { temporaryDirectory } from '../../support/running-tahoe.js';

export interface OurServer {
  readonly directory: string;
  /** Where its shares are: `<2 characters>/<storage index>/<share number>`. */
  readonly sharesDirectory: string;
  /** `v0-...`: its public key, the id of the server. */
  readonly serverId: string;
  readonly announcement: unknown;
}

/** Without `introducer` they announce themselves to nobody. */
export async function startOurServers(scope: Cleanup, count: number, introducer?: string): Promise<OurServer[]> {
  const work = await temporaryDirectory(scope);
  const numbers = Array.from({ length: count }, (_, number) => number);
  return Promise.all(
    numbers.map(async (number) => {
      const nickname = `our server ${number}`;
      const directory = await createStorageNode(join(work, String(number)), { nickname, introducer });
      return runOurServer(scope, directory, nickname);
    }),
  );
}

async function runOurServer(scope: Cleanup, directory: string, nickname: string): Promise<OurServer> {
  const node = await startNode(directory, { warn: (line) => process.stderr.write(`${nickname}: ${line}\n`) });
  scope.teardown(() => node.stop());
  const text = async (...names: string[]) => (await readFile(join(directory, ...names), 'utf8')).trim();
  return {
    directory,
    sharesDirectory: join(directory, 'storage', 'shares'),
    serverId: (await text('node.pubkey')).replace(/^pub-/, ''),
    announcement: {
      nickname,
      'anonymous-storage-FURL': await text('private', 'storage.furl'),
      'anonymous-storage-NURLs': [await text('private', 'storage.nurl')],
      'permutation-seed-base32': await text('permutation-seed'),
    },
  };
}

/** A servers.yaml with these servers and those of another one. */
export function serversYamlWith(servers: readonly OurServer[], others = '{}'): string {
  const entries = servers.map(({ serverId, announcement }) => [serverId, { ann: announcement }] as const);
  const before = (parse(others) as { storage?: Record<string, unknown> }).storage ?? {};
  return stringify({ storage: { ...before, ...Object.fromEntries(entries) } });
}
