/** Introducer, storage servers and clients of the Python implementation on loopback: alone, or as a whole grid. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import { freePorts } from '../../../src/node/endpoint.js';
import type { Cleanup } from '../../support/cleanup.js';
import type { Outcome } from '../../support/running-tahoe.js';
import { createPythonNode, type PythonConfig, PythonNode, pythonOutput, pythonTahoe } from './python-node.js';
import type { WebApi } from './web-api.js';

const LOOPBACK = 'interface=127.0.0.1';

export interface PythonIntroducer {
  readonly node: PythonNode;
  readonly furl: string;
}

export interface PythonServer {
  readonly node: PythonNode;
  readonly furl: string;
  /** `v0-...`: its public key, the id of the server. */
  readonly serverId: string;
  /** Where its shares are: `<2 characters>/<storage index>/<share number>`. */
  readonly sharesDirectory: string;
}

export interface PythonServerOptions {
  /** Undefined: it announces itself to nobody. */
  readonly introducer: string | undefined;
  readonly nickname?: string;
  /** More sections and keys of tahoe.cfg, replacing the usual ones. */
  readonly config?: PythonConfig;
}

export interface PythonEncoding {
  readonly needed: number;
  readonly happy: number;
  readonly total: number;
  readonly maximumSegmentSize?: number;
}

export interface PythonClientOptions {
  /** Undefined: only `serversYaml` names servers. */
  readonly introducer: string | undefined;
  /** With how many servers it must be connected to be ready. */
  readonly servers: number;
  readonly nickname?: string;
  readonly encoding?: PythonEncoding;
  /** Any length, also none. Undefined: made by the node. */
  readonly convergence?: Uint8Array;
  readonly leaseSecret?: Uint8Array;
  readonly serversYaml?: string;
  readonly config?: PythonConfig;
}

export async function startPythonIntroducer(scope: Cleanup): Promise<PythonIntroducer> {
  const directory = await workDirectory(scope, 'introducer');
  const [port = 0] = await freePorts(1);
  await createPythonNode(directory, { type: 'introducer', config: { node: nodeSection('introducer', port, '') } });
  return runPythonIntroducer(scope, directory);
}

/** Runs the introducer of a directory, whoever made it. */
export async function runPythonIntroducer(scope: Cleanup, directory: string): Promise<PythonIntroducer> {
  const { node, found } = await PythonNode.start(scope, directory, (started) =>
    started.file('private', 'introducer.furl'),
  );
  return { node, furl: found };
}

export async function startPythonServer(scope: Cleanup, options: PythonServerOptions): Promise<PythonServer> {
  const directory = await workDirectory(scope, 'server');
  const [port = 0] = await freePorts(1);
  const config = {
    node: nodeSection(options.nickname ?? 'python server', port, ''),
    storage: { enabled: 'true', reserved_space: '0' },
  };
  await createPythonNode(directory, {
    type: 'client',
    config: merged(config, options.config ?? {}),
    privateFiles: introducersFile(options.introducer),
  });
  return runPythonServer(scope, directory);
}

/** Runs the storage server of a directory, whoever made it. */
export async function runPythonServer(scope: Cleanup, directory: string): Promise<PythonServer> {
  const { node, found } = await PythonNode.start(scope, directory, async (started) => {
    const furl = await started.file('private', 'storage.furl');
    const key = await started.file('node.pubkey');
    return furl === undefined || key === undefined ? undefined : { furl, key };
  });
  return {
    node,
    furl: found.furl,
    serverId: found.key.replace(/^pub-/, ''),
    sharesDirectory: join(directory, 'storage', 'shares'),
  };
}

export function startPythonServers(
  scope: Cleanup,
  count: number,
  introducer: string | undefined,
): Promise<PythonServer[]> {
  const numbers = Array.from({ length: count }, (_, number) => number);
  return Promise.all(
    numbers.map((number) => startPythonServer(scope, { introducer, nickname: `python server ${number}` })),
  );
}

/** A client that stores on the servers of others; ready when it is connected to as many as `servers`. */
export async function startPythonClient(scope: Cleanup, options: PythonClientOptions): Promise<PythonClient> {
  const directory = await workDirectory(scope, 'client');
  const { encoding = { needed: 3, happy: 7, total: 10 }, convergence, leaseSecret, serversYaml } = options;
  const config = {
    node: nodeSection(options.nickname ?? 'python client', 'disabled', `tcp:0:${LOOPBACK}`),
    client: {
      'shares.needed': String(encoding.needed),
      'shares.happy': String(encoding.happy),
      'shares.total': String(encoding.total),
      ...(encoding.maximumSegmentSize === undefined
        ? {}
        : { 'shares._max_immutable_segment_size_for_testing': String(encoding.maximumSegmentSize) }),
    },
    storage: { enabled: 'false' },
  };
  await createPythonNode(directory, {
    type: 'client',
    config: merged(config, options.config ?? {}),
    privateFiles: {
      ...introducersFile(options.introducer),
      ...(convergence === undefined ? {} : { convergence: `${encodeBase32(convergence)}\n` }),
      ...(leaseSecret === undefined ? {} : { secret: `${encodeBase32(leaseSecret)}\n` }),
      ...(serversYaml === undefined ? {} : { 'servers.yaml': serversYaml }),
    },
  });
  return runPythonClient(scope, directory, options.servers);
}

/** Runs the client of a directory, whoever made it; ready when it is connected to as many servers. */
export async function runPythonClient(scope: Cleanup, directory: string, servers: number): Promise<PythonClient> {
  const { node, found: url } = await PythonNode.start(scope, directory, (started) => started.file('node.url'));
  const client = new PythonClient(node, url);
  await client.connectedTo(servers);
  return client;
}

interface WelcomePage {
  readonly servers: readonly { readonly nodeid: string; readonly connection_status: string }[];
}

export class PythonClient implements WebApi {
  readonly node: PythonNode;
  readonly #url: string;

  constructor(node: PythonNode, url: string) {
    this.node = node;
    this.#url = url.endsWith('/') ? url : `${url}/`;
  }

  /** Waits until at least so many servers are connected. */
  async connectedTo(count: number): Promise<void> {
    await this.node.waitFor(`${count} connected servers`, async () => {
      const connected = (await this.servers()).filter(({ connection_status: s }) => /^connected/i.test(s));
      return connected.length >= count ? true : undefined;
    });
  }

  async servers(): Promise<WelcomePage['servers']> {
    return ((await (await this.fetch('?t=json')).json()) as WelcomePage).servers;
  }

  /** A request to its web API, `path` without the leading slash; any status. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.#url}${path}`, init);
  }

  /** What a command printed that must succeed: `client.output('ls', cap)`. */
  output(...args: string[]): Promise<string> {
    return pythonOutput('-d', this.node.directory, ...args);
  }

  tahoe(...args: string[]): Promise<Outcome> {
    return pythonTahoe('-d', this.node.directory, ...args);
  }

  /** A servers.yaml with everything that its introducer has announced to it: for nodes without introducer. */
  async serversYaml(): Promise<string> {
    const announced = parse((await this.node.file('private', 'introducer_default_cache.yaml')) ?? '[]') as {
      ann: unknown;
      key_s: string;
    }[];
    return stringify({ storage: Object.fromEntries(announced.map(({ ann, key_s: key }) => [key, { ann }])) });
  }
}

export interface PythonGridOptions extends Partial<Omit<PythonClientOptions, 'introducer'>> {
  readonly servers?: number;
}

export interface PythonGrid {
  readonly introducer: PythonIntroducer;
  readonly servers: readonly PythonServer[];
  readonly client: PythonClient;
  /** The end of what each node printed, for a test that failed. */
  log(): string;
}

/** An introducer, `servers` storage servers (ten) and a client that is connected to all of them. */
export async function startPythonGrid(scope: Cleanup, options: PythonGridOptions = {}): Promise<PythonGrid> {
  const count = options.servers ?? 10;
  const introducer = await startPythonIntroducer(scope);
  const [servers, client] = await Promise.all([
    startPythonServers(scope, count, introducer.furl),
    startPythonClient(scope, { ...options, introducer: introducer.furl, servers: count }),
  ]);
  const nodes = [introducer.node, client.node, ...servers.map(({ node }) => node)];
  return { introducer, servers, client, log: () => nodes.map(({ log }) => log).join('\n') };
}

async function workDirectory(scope: Cleanup, name: string): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), `tahoe-python-${name}-`));
  // Stopped nodes may still write for a moment.
  scope.teardown(() => rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return join(work, 'node');
}

function nodeSection(nickname: string, port: number | 'disabled', webPort: string) {
  return {
    nickname,
    'web.port': webPort,
    'tub.port': port === 'disabled' ? port : `tcp:${port}:${LOOPBACK}`,
    'tub.location': port === 'disabled' ? port : `tcp:127.0.0.1:${port}`,
  };
}

function introducersFile(furl: string | undefined): Record<string, string> {
  return furl === undefined ? {} : { 'introducers.yaml': stringify({ introducers: { default: { furl } } }) };
}

function merged(base: PythonConfig, more: PythonConfig): PythonConfig {
  const sections = new Set([...Object.keys(base), ...Object.keys(more)]);
  return Object.fromEntries([...sections].map((name) => [name, { ...base[name], ...more[name] }]));
}
