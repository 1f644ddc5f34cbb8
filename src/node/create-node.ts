/** New node directories: a client, a storage server, an introducer, or a whole grid of them on this computer. */
import { copyFile, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { isDirectory, parseKnownCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { serializeFurl } from '../foolscap/furl.js';
import { INTRODUCERS_FILE, introducersYamlFor } from '../introducer/introducer-list.js';
import { silentLogger } from '../platform/logger.js';
import { type Endpoint, freePorts } from './endpoint.js';
import { fileError } from './file-error.js';
import { CLIENT_NAME, INTRODUCER_NAME } from './grid-directories.js';
import { openIntroducerIdentity } from './introducer-node.js';
import { clientConfigText, type EncodingNumbers, introducerConfigText, storageConfigText } from './node-config-text.js';
import { listOrNothing, NodeDirectory } from './node-directory.js';
import { nodePlatform } from './node-platform.js';

const LOOPBACK = '127.0.0.1';

export interface CreateClientOptions {
  readonly encoding: EncodingNumbers;
  readonly nickname?: string | undefined;
  readonly webPort?: string | undefined;
  /** The FURL of the introducer to ask for servers. */
  readonly introducer?: string | undefined;
  /** A servers.yaml to copy. */
  readonly serversFile?: string | undefined;
  /** A directory's capability: the alias `tahoe:`. With it the node has an SFTP server. */
  readonly rootCap?: string | undefined;
}

/**
 * Returns the absolute path. Kind `not-empty` if something is there already; `not-found` for the servers file; `invalid`
 * for a FURL that is none.
 */
export async function createClient(path: string | undefined, options: CreateClientOptions): Promise<string> {
  const { rootCap, serversFile, introducer } = options;
  const introducers = introducer === undefined ? undefined : introducersYamlFor(introducer);
  if (rootCap !== undefined && !isDirectory(parseKnownCap(rootCap))) {
    throw new TahoeError('the root must be the capability of a directory', { kind: 'bad-cap', op: 'node.create' });
  }
  const [sftpPort = 0] = rootCap === undefined ? [] : await freePorts(1);
  const directory = await NodeDirectory.create(
    path ?? defaultDirectory(),
    clientConfigText({
      nickname: options.nickname ?? 'client',
      webPort: options.webPort ?? `tcp:0:interface=${LOOPBACK}`,
      encoding: options.encoding,
      sftpPort: rootCap === undefined ? undefined : { port: sftpPort, host: LOOPBACK },
    }),
  );
  if (introducers !== undefined) await directory.write(INTRODUCERS_FILE, introducers);
  if (rootCap !== undefined) await directory.write('private/root_dir.cap', `${rootCap}\n`);
  if (serversFile !== undefined) {
    const from = resolve(serversFile);
    await copyFile(from, directory.file('private', 'servers.yaml')).catch((error: unknown) => {
      throw fileError(error, 'copy', from);
    });
  }
  return directory.path;
}

export interface CreateStorageOptions {
  readonly nickname?: string | undefined;
  readonly hostname?: string | undefined;
  readonly port?: number | undefined;
  /** The FURL of the introducer to announce it to. */
  readonly introducer?: string | undefined;
}

/** Returns the absolute path. Kinds `not-empty`, `invalid` for a FURL that is none. */
export async function createStorageNode(path: string | undefined, options: CreateStorageOptions): Promise<string> {
  const { introducer } = options;
  const introducers = introducer === undefined ? undefined : introducersYamlFor(introducer);
  const hostname = options.hostname ?? LOOPBACK;
  const [port = 0] = options.port === undefined ? await freePorts(1) : [options.port];
  const directory = await NodeDirectory.create(
    path ?? defaultDirectory(),
    storageConfigText({
      nickname: options.nickname ?? 'storage',
      port: { port, host: hostname === LOOPBACK ? LOOPBACK : undefined },
      hostname,
      reservedSpace: '1G',
    }),
  );
  if (introducers !== undefined) await directory.write(INTRODUCERS_FILE, introducers);
  return directory.path;
}

export interface CreateIntroducerOptions {
  readonly nickname?: string | undefined;
  readonly hostname?: string | undefined;
  readonly port?: Endpoint | undefined;
}

/** Returns the absolute path and the FURL that its clients need. Kind `not-empty`. */
export async function createIntroducer(
  path: string,
  options: CreateIntroducerOptions,
): Promise<{ readonly path: string; readonly furl: string }> {
  const hostname = options.hostname ?? LOOPBACK;
  const [port = 0] = options.port === undefined ? await freePorts(1) : [options.port.port];
  const host = options.port?.host ?? (hostname === LOOPBACK ? LOOPBACK : undefined);
  const text = introducerConfigText({ nickname: options.nickname ?? 'introducer', port: { port, host }, hostname });
  const directory = await NodeDirectory.create(path, text, 'introducer');
  const { furl } = await openIntroducerIdentity(directory, await directory.config(), nodePlatform(silentLogger));
  return { path: directory.path, furl: serializeFurl(furl) };
}

export interface CreateGridOptions {
  readonly servers: number;
  readonly encoding: EncodingNumbers;
}

/** Makes DIR/introducer, DIR/client and DIR/server-0, ... with fixed free ports. Returns the absolute path. Kind `not-empty`. */
export async function createGrid(path: string, { servers, encoding }: CreateGridOptions): Promise<string> {
  const root = resolve(path);
  if (((await listOrNothing(root)) ?? []).length > 0) {
    throw new TahoeError(`the directory "${root}" is not empty: a grid needs a new one. Nothing was changed.`, {
      kind: 'not-empty',
      op: 'node.create',
      subject: root,
    });
  }
  await mkdir(root, { recursive: true, mode: 0o700 });
  const [sftpPort = 0, introducerPort = 0, ...ports] = await freePorts(servers + 2);
  const endpoint = { port: introducerPort, host: LOOPBACK };
  const { furl } = await createIntroducer(join(root, INTRODUCER_NAME), { port: endpoint });
  for (const [number, port] of ports.entries()) await createGridServer(root, number, port, furl);
  const client = await NodeDirectory.create(
    join(root, CLIENT_NAME),
    clientConfigText({
      nickname: 'client',
      webPort: `tcp:0:interface=${LOOPBACK}`,
      encoding,
      sftpPort: { port: sftpPort, host: LOOPBACK },
    }),
  );
  await client.write(INTRODUCERS_FILE, introducersYamlFor(furl));
  return root;
}

async function createGridServer(root: string, number: number, port: number, introducer: string): Promise<void> {
  const nickname = `server-${number}`;
  const config = storageConfigText({
    nickname,
    port: { port, host: LOOPBACK },
    hostname: LOOPBACK,
    reservedSpace: '256M',
  });
  const directory = await NodeDirectory.create(join(root, nickname), config);
  await directory.write(INTRODUCERS_FILE, introducersYamlFor(introducer));
}

function defaultDirectory(): string {
  return join(homedir(), '.tahoe');
}
