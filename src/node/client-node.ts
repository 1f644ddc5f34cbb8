/** The client of a node: journal and file system over a grid, and the doors to it (web API, SFTP, mounts). */
import { rm } from 'node:fs/promises';
import type { Grid } from '../grid/grid.js';
import type { Platform } from '../platform/platform.js';
import type { NodeControl, SftpStatus } from '../web/node-control.js';
import { startWebServer } from '../web/web-server.js';
import { type ClientFiles, openClientFiles } from './client-files.js';
import { openClientGrid } from './client-grid.js';
import { ClientPending } from './client-pending.js';
import { MountManager } from './mount-manager.js';
import { listOrNothing, type NodeDirectory } from './node-directory.js';
import type { NodeIntroducers } from './node-introducers.js';
import { PendingAlarm } from './pending-alarm.js';
import { type PendingWork, type RunOptions, runOnce, type StopStack } from './running-node.js';
import { processOwner, startSftpFrontend } from './sftp-frontend.js';
import type { TahoeConfig } from './tahoe-config.js';

export interface ClientOptions extends RunOptions {
  /** Makes a root directory, the alias `tahoe:`, if the node has none. */
  readonly makeRoot?: boolean;
}

export interface StartedClient {
  /** Of the web API. */
  readonly url: string;
  readonly pending: PendingWork;
}

const ALARM_AFTER_SECONDS = 600;

/**
 * Opens a node directory's file system and the doors to it. Undone by `stops`.
 * Kinds `invalid` (servers.yaml, accounts), `unhappy` (no root directory could be made).
 */
export async function startClient(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  introducers: NodeIntroducers,
  stops: StopStack,
  options: ClientOptions,
): Promise<StartedClient> {
  const clientGrid = await openClientGrid(directory, config, platform, introducers, options.keys);
  stops.push(() => clientGrid.close());
  reportServers(clientGrid.grid, introducers, options.warn);
  const files = await openClientFiles(directory, config, clientGrid, platform, options.journalSegmentBytes);
  stops.push(() => files.close());
  const rootCap = await openRootCap(directory, files, options.makeRoot ?? false);
  const mounts = new MountManager(() => files.vfs.view(), platform.log);
  stops.push(() => mounts.close());
  const sftp = config.sftp.enabled
    ? await startSftpFrontend(directory, config.sftp, platform, files.vfs.view(), rootCap)
    : undefined;
  const closeSftp = runOnce(async () => sftp?.close());
  stops.push(closeSftp);
  const status = () => files.vfs.status();
  const alarm = new PendingAlarm(
    status,
    platform.clock,
    platform.log,
    options.alarmAfterSeconds ?? ALARM_AFTER_SECONDS,
  );
  alarm.start();
  stops.push(async () => alarm.stop());
  const pending = new ClientPending(files.vfs, platform.clock, async () => {
    await Promise.all([mounts.close(), closeSftp()]);
  });
  const notices = await damageNotices(directory);
  for (const notice of notices) options.warn(notice);
  const parts = { grid: clientGrid.grid, introducers, files, mounts, sftp: sftp?.status, alarm, pending, notices };
  const control = nodeControl(directory, config, platform, parts);
  const url = await startWeb(directory, config, platform, clientGrid.grid, files, control, stops);
  platform.log.info('client started', { url });
  return { url, pending };
}

async function startWeb(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  grid: Grid,
  files: ClientFiles,
  control: NodeControl,
  stops: StopStack,
): Promise<string> {
  if (config.webPort === undefined) return 'without web server';
  const apiToken = await directory.newApiToken(platform.entropy);
  const context = {
    vfs: files.vfs.view(),
    grid,
    control,
    platform,
    spoolDirectory: directory.file(config.temporaryDirectory),
    apiToken,
    newDirectory: { mode: 0o755, ...processOwner() },
  };
  const web = await startWebServer(context, config.webPort);
  stops.push(() => web.close());
  await directory.write('node.url', `${web.url}\n`);
  // So that commands say that the node does not run, and never speak to whoever gets the port next.
  stops.push(() => rm(directory.file('node.url'), { force: true }));
  return web.url;
}

interface ControlledParts {
  readonly grid: Grid;
  readonly introducers: NodeIntroducers;
  readonly files: ClientFiles;
  readonly mounts: MountManager;
  readonly sftp: SftpStatus | undefined;
  readonly alarm: PendingAlarm;
  readonly pending: ClientPending;
  readonly notices: readonly string[];
}

function nodeControl(
  directory: NodeDirectory,
  config: TahoeConfig,
  { clock }: Platform,
  { grid, introducers, files, mounts, sftp, alarm, pending, notices }: ControlledParts,
): NodeControl {
  const startedMs = clock.monotonicMs();
  return {
    status: () => ({
      nickname: config.nickname,
      directory: directory.path,
      pid: process.pid,
      uptimeSeconds: (clock.monotonicMs() - startedMs) / 1000,
      encoding: config.encoding,
      pending: files.vfs.status(),
      alarm: alarm.message,
      notices,
      mounts: mounts.list(),
      servers: grid.servers(),
      introducers: introducers.statuses(),
      sftp,
    }),
    introducers: () => introducers.statuses(),
    mount: (request) => mounts.mount(request),
    unmount: (mountpoint) => mounts.unmount(mountpoint),
    locate: (path) => mounts.locate(path),
    stop: () => pending.requestStop(),
  };
}

/** The capability in `private/root_dir.cap`, made if asked for. */
async function openRootCap(
  directory: NodeDirectory,
  files: ClientFiles,
  makeRoot: boolean,
): Promise<string | undefined> {
  const present = (await directory.read('private', 'root_dir.cap'))?.trim();
  if (present !== undefined || !makeRoot) return present;
  const cap = await files.vfs.createUnlinkedDirectory();
  await directory.write('private/root_dir.cap', `${cap}\n`);
  return cap;
}

/** One for each report of a damaged journal, until somebody removes it. */
async function damageNotices(directory: NodeDirectory): Promise<string[]> {
  const names = (await listOrNothing(directory.path)) ?? [];
  return names
    .filter((name) => /^journal\.damaged-.*\.txt$/.test(name))
    .sort()
    .map((name) => `a damaged journal was set aside; what could not be read of it: ${directory.file(name)}`);
}

/** Says which introducers and servers do not answer, for whoever started the node. */
function reportServers(grid: Grid, introducers: NodeIntroducers, warn: (line: string) => void): void {
  const statuses = introducers.statuses();
  for (const { petname, state, reason } of statuses) {
    if (state !== 'connected') warn(`introducer ${petname} does not answer: ${reason ?? 'no answer yet'}`);
  }
  const servers = grid.servers();
  if (servers.length === 0 && statuses.length === 0) {
    warn(
      'there are no storage servers: write introducers into private/introducers.yaml, or servers into private/servers.yaml',
    );
  } else if (servers.length === 0) {
    warn('there are no storage servers yet: none has been announced');
  }
  for (const server of servers) {
    if (server.state !== 'connected')
      warn(`server ${server.nickname} does not answer: ${server.reason ?? 'no answer'}`);
  }
}
