/** A client of ours in a process of its own, given what a test compares with the Python implementation. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import { NodeDirectory } from '../../../src/node/node-directory.js';
import type { Cleanup } from '../../support/cleanup.js';
import type { Outcome } from '../../support/running-tahoe.js';
import { type RunningProgram, runTahoe, tahoe, tahoeOutput, temporaryDirectory } from '../../support/running-tahoe.js';
import type { PythonEncoding } from './python-grid.js';
import type { WebApi } from './web-api.js';

const CONNECT_LIMIT_MS = 60_000;

export interface OurClientOptions {
  /** Undefined: only an introducer names servers. */
  readonly serversYaml?: string;
  readonly introducer?: string;
  /** Capability of the directory that is mounted and served by SFTP. */
  readonly root?: string;
  readonly encoding?: PythonEncoding;
  readonly convergence?: Uint8Array;
  readonly leaseSecret?: Uint8Array;
}

export async function startOurClient(scope: Cleanup, options: OurClientOptions): Promise<OurClient> {
  const {
    encoding = { needed: 3, happy: 7, total: 10 },
    convergence,
    leaseSecret,
    serversYaml,
    introducer,
    root,
  } = options;
  const work = await temporaryDirectory(scope);
  const directory = join(work, 'node');
  const yaml = join(work, 'servers.yaml');
  if (serversYaml !== undefined) await writeFile(yaml, serversYaml);
  await tahoeOutput(
    ...['create-client', directory, ...(serversYaml === undefined ? [] : ['--servers-file', yaml])],
    ...(introducer === undefined ? [] : ['--introducer', introducer]),
    ...(root === undefined ? [] : ['--root', root]),
    ...['--shares-needed', String(encoding.needed)],
    ...['--shares-happy', String(encoding.happy), '--shares-total', String(encoding.total)],
  );
  const files = new NodeDirectory(directory);
  if (convergence !== undefined) await files.write('private/convergence', `${encodeBase32(convergence)}\n`);
  if (leaseSecret !== undefined) await files.write('private/secret', `${encodeBase32(leaseSecret)}\n`);
  if (encoding.maximumSegmentSize !== undefined) {
    const before = (await files.read('tahoe.cfg')) ?? '';
    const line = `shares._max_immutable_segment_size_for_testing = ${encoding.maximumSegmentSize}`;
    await files.write('tahoe.cfg', before.replace('[client]\n', `[client]\n${line}\n`));
  }
  return runOurClient(scope, directory);
}

/** Runs the client of a directory, whoever made it. */
export async function runOurClient(scope: Cleanup, directory: string): Promise<OurClient> {
  const running = await runTahoe(scope, directory);
  return new OurClient(directory, running, ((await new NodeDirectory(directory).read('node.url')) ?? '').trim());
}

export class OurClient implements WebApi {
  readonly directory: string;
  readonly running: RunningProgram;
  readonly #url: string;

  constructor(directory: string, running: RunningProgram, url: string) {
    this.directory = directory;
    this.running = running;
    this.#url = url.endsWith('/') ? url : `${url}/`;
  }

  /** A request to its web API, `path` without the leading slash; any status. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.#url}${path}`, init);
  }

  /** Waits until at least so many servers are connected. */
  async connectedTo(count: number): Promise<void> {
    const deadline = performance.now() + CONNECT_LIMIT_MS;
    let connected = 0;
    while (performance.now() < deadline) {
      const page = (await (await this.fetch('?t=json')).json()) as { servers: { connection_status: string }[] };
      connected = page.servers.filter(({ connection_status: status }) => /^connected/i.test(status)).length;
      if (connected >= count) return;
      await delay(100);
    }
    throw new Error(`our client is connected with ${connected} of ${count} servers`);
  }

  /** What a command printed that must succeed, trimmed. */
  output(...args: string[]): Promise<string> {
    return tahoeOutput('-d', this.directory, ...args);
  }

  tahoe(...args: string[]): Promise<Outcome> {
    return tahoe('-d', this.directory, ...args);
  }
}
