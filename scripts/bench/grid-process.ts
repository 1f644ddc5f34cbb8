/** Ten storage servers with TLS and disk in a process of their own, so that the client's CPU can be told from theirs. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServerId, TubId } from '../../src/encoding/brands.js';
import type { NodeClock } from '../../src/node/node-clock.js';
import { HttpsStorageServer } from '../../src/storage-client/https-storage-server.js';
import { parseNurl } from '../../src/storage-protocol/nurl.js';

/** What the process says about each of its servers. */
export interface ServerAddress {
  readonly serverId: string;
  readonly nickname: string;
  readonly permutationSeed: string;
  readonly tubId: string;
  readonly nurl: string;
}

export interface BenchGrid {
  readonly servers: readonly HttpsStorageServer[];
  /** CPU milliseconds of the servers' process so far, user and system. */
  cpuMs(): Promise<number>;
  stop(): Promise<void>;
}

const SERVERS = 10;

/** Starts the process in a temporary directory below `parent`; `stop` removes it. */
export async function startBenchGrid(clock: NodeClock, parent: string = tmpdir()): Promise<BenchGrid> {
  const directory = await mkdtemp(join(parent, 'tahoe-bench-'));
  const script = fileURLToPath(new URL('./grid-process-main.js', import.meta.url));
  const child = fork(script, [directory, String(SERVERS)]);
  const answer = async () => {
    const [message] = await once(child, 'message', { signal: AbortSignal.timeout(60_000) });
    return message as unknown;
  };
  const addresses = (await answer()) as ServerAddress[];
  const servers = addresses.map(
    ({ serverId, nickname, permutationSeed, tubId, nurl }) =>
      new HttpsStorageServer({
        id: serverId as ServerId,
        nickname,
        permutationSeed: Buffer.from(permutationSeed, 'hex'),
        tubId: Buffer.from(tubId, 'hex') as unknown as TubId,
        nurl: parseNurl(nurl),
        clock,
      }),
  );
  return {
    servers,
    cpuMs: async () => {
      const answered = answer();
      child.send('cpu');
      return Number(await answered);
    },
    stop: async () => {
      await Promise.all(servers.map((server) => server.close()));
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
      await rm(directory, { recursive: true });
    },
  };
}
