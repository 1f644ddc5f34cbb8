/** New node directories: a client, a storage server, or a whole grid of them on this computer. */
import { copyFile, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { isDirectory, parseKnownCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { silentLogger } from '../platform/logger.js';
import { type ServerAnnouncement, serializeServersYaml } from '../storage-client/server-list.js';
import { parseNurl } from '../storage-protocol/nurl.js';
import { openIdentity, publishAddresses } from '../storage-server/identity.js';
import { freePorts } from './endpoint.js';
import { fileError } from './file-error.js';
import { clientConfigText, type EncodingNumbers, storageConfigText } from './node-config-text.js';
import { listOrNothing, NodeDirectory } from './node-directory.js';
import { nodePlatform } from './node-platform.js';

const LOOPBACK = '127.0.0.1';

export interface CreateClientOptions {
  readonly encoding: EncodingNumbers;
  readonly nickname?: string | undefined;
  readonly webPort?: string | undefined;
  /** A servers.yaml to copy. */
  readonly serversFile?: string | undefined;
  /** A directory's capability: the alias `tahoe:`. With it the node has an SFTP server. */
  readonly rootCap?: string | undefined;
}

/** Returns the absolute path. Kind `not-empty` if something is there already; `not-found` for the servers file. */
export async function createClient(path: string | undefined, options: CreateClientOptions): Promise<string> {
  const { rootCap, serversFile } = options;
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
}

/** Returns the absolute path. */
export async function createStorageNode(path: string | undefined, options: CreateStorageOptions): Promise<string> {
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
  return directory.path;
}

export interface CreateGridOptions {
  readonly servers: number;
  readonly encoding: EncodingNumbers;
}

/** Makes DIR/client and DIR/server-0, ... with fixed free ports. Returns the absolute path. Kind `not-empty`. */
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
  const [sftpPort = 0, ...ports] = await freePorts(servers + 1);
  const entries: ServerAnnouncement[] = [];
  for (const [number, port] of ports.entries()) entries.push(await createGridServer(root, number, port));
  const client = await NodeDirectory.create(
    join(root, 'client'),
    clientConfigText({
      nickname: 'client',
      webPort: `tcp:0:interface=${LOOPBACK}`,
      encoding,
      sftpPort: { port: sftpPort, host: LOOPBACK },
    }),
  );
  await client.write('private/servers.yaml', serializeServersYaml(entries));
  return root;
}

async function createGridServer(root: string, number: number, port: number): Promise<ServerAnnouncement> {
  const nickname = `server-${number}`;
  const config = storageConfigText({
    nickname,
    port: { port, host: LOOPBACK },
    hostname: LOOPBACK,
    reservedSpace: '256M',
  });
  const directory = await NodeDirectory.create(join(root, nickname), config);
  const platform = nodePlatform(silentLogger);
  const identity = await openIdentity(platform, directory.path);
  const { nurl } = await publishAddresses(platform.files, directory.path, identity, { host: LOOPBACK, port });
  const { serverId, tubId, permutationSeed } = identity;
  return { id: serverId, nickname, tubId, permutationSeed, nurls: [parseNurl(nurl)] };
}

function defaultDirectory(): string {
  return join(homedir(), '.tahoe');
}
