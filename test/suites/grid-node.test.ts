import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { NodeStatus } from '../../src/web/node-control.js';
import { runTahoe, tahoe, tahoeOutput, temporaryDirectory } from '../support/running-tahoe.js';

/** One after the other: a grid finds its ports free when it is created, and takes them when it runs. */
async function startGrid(t: ExecutionContext) {
  const work = await temporaryDirectory(t);
  const grid = join(work, 'grid');
  await tahoeOutput('create-grid', grid);
  return { work, grid, running: await runTahoe(t, grid) };
}

async function furlOf(grid: string): Promise<string> {
  return (await readFile(join(grid, 'introducer/private/introducer.furl'), 'utf8')).trim();
}

test.serial('put prints the capability alone, and get gives the bytes back, on 10 servers over HTTPS', async (t) => {
  const { work, grid, running } = await startGrid(t);
  const content = randomBytes(3_000_000);
  await writeFile(join(work, 'file'), content);
  const { code, stdout, stderr } = await tahoe('-d', grid, 'put', join(work, 'file'));
  t.is(code, 0, stderr);
  t.regex(stdout, /^URI:CHK:[a-z2-7]{26}:[a-z2-7]{52}:3:10:3000000\n$/);
  await tahoeOutput('-d', grid, 'get', stdout.trim(), join(work, 'copy'));
  t.true(content.equals(await readFile(join(work, 'copy'))));
  t.is(await running.stop(), 0);
});

test.serial('names: mkdir, put, ls, mv, rm, and what is missing exits with 2', async (t) => {
  const { work, grid } = await startGrid(t);
  await writeFile(join(work, 'file'), 'content');
  t.regex(await tahoeOutput('-d', grid, 'mkdir', 'tahoe:a/b'), /^URI:DIR2:/);
  t.is(await tahoeOutput('-d', grid, 'put', join(work, 'file'), 'tahoe:a/b/ünï cödé'), 'URI:LIT:mnxw45dfnz2a');
  t.is(await tahoeOutput('-d', grid, 'ls', 'tahoe:a/b'), 'ünï cödé');
  await tahoeOutput('-d', grid, 'mv', 'tahoe:a/b/ünï cödé', 'tahoe:a/new');
  t.is(await tahoeOutput('-d', grid, 'get', 'tahoe:a/new'), 'content');
  t.is((await tahoe('-d', grid, 'get', 'tahoe:a/b/ünï cödé')).code, 2);
  const refused = await tahoe('-d', grid, 'rm', 'tahoe:a');
  t.is(refused.code, 5);
  t.regex(refused.stderr, /"tahoe:a" is not empty.*-r/);
  await tahoeOutput('-d', grid, 'rm', '-r', 'tahoe:a');
  t.is(await tahoeOutput('-d', grid, 'ls'), '');
});

test.serial('cp -r takes a tree to the grid, and another client with the read capability takes it back', async (t) => {
  const { work, grid } = await startGrid(t);
  await mkdir(join(work, 'tree/sub/deep'), { recursive: true });
  for (let i = 0; i < 30; i++) await writeFile(join(work, `tree/sub/file ${i}`), randomBytes(i * 100));
  await writeFile(join(work, 'tree/sub/deep/ü'), 'deep');
  await tahoeOutput('-d', grid, 'cp', '-r', join(work, 'tree'), 'tahoe:');
  const status = JSON.parse(await tahoeOutput('-d', grid, 'status', '--json')) as NodeStatus;
  t.is(status.pending.filesPending, 0);
  const aliases = JSON.parse(await tahoeOutput('-d', grid, 'list-aliases', '--json'));
  const second = join(work, 'second');
  await tahoeOutput('create-client', second, '--introducer', await furlOf(grid), '--root', aliases.tahoe.readonly);
  await runTahoe(t, second);
  await tahoeOutput('-d', second, 'cp', '-r', 'tahoe:tree', join(work, 'out'));
  await promisify(execFile)('diff', ['-r', join(work, 'tree'), join(work, 'out/tree')]);
  const denied = await tahoe('-d', second, 'mkdir', 'tahoe:mine');
  t.is(denied.code, 7, denied.stderr);
});

test.serial('what was put survives kill -9 of the node, and the directory is free again', async (t) => {
  const { work, grid, running } = await startGrid(t);
  await writeFile(join(work, 'file'), 'kept');
  await tahoeOutput('-d', grid, 'put', join(work, 'file'), 'tahoe:kept');
  await running.stop('SIGKILL');
  await runTahoe(t, grid);
  t.is(await tahoeOutput('-d', grid, 'get', 'tahoe:kept'), 'kept');
});

test.serial('a second node on the same directory is refused and told which process has it', async (t) => {
  const { grid, running } = await startGrid(t);
  const { code, stderr } = await tahoe('run', join(grid, 'client'));
  t.is(code, 5);
  t.regex(stderr, new RegExp(`in use by process ${running.pid}:`));
});

test.serial('with too few servers put fails with 6 and says who does not answer', async (t) => {
  const { work, grid, running } = await startGrid(t);
  const client = join(work, 'lonely');
  await tahoeOutput('create-client', client, '--introducer', await furlOf(grid));
  await (await runTahoe(t, client)).stop();
  await running.stop();
  await runTahoe(t, client);
  await writeFile(join(work, 'file'), randomBytes(1000));
  const { code, stdout, stderr } = await tahoe('-d', client, 'put', join(work, 'file'));
  t.is(code, 6, stderr);
  t.is(stdout, '');
  t.regex(stderr, /7/);
  const status = await tahoeOutput('-d', client, 'status');
  t.regex(status, /servers: 0 of 10 connected/, 'those that it has kept');
  t.regex(status, /introducer default: not connected/);
});

test.serial('a server that joins a running grid is used at once, and status says who told of it', async (t) => {
  const { work, grid } = await startGrid(t);
  const server = join(work, 'late');
  await tahoeOutput('create-node', server, '--introducer', await furlOf(grid), '--nickname', 'late');
  await runTahoe(t, server);
  const connected = () => tahoeOutput('-d', grid, 'status');
  while (!/servers: 11 of 11 connected/.test(await connected())) await delay(50);
  t.regex(await connected(), /introducer default: connected to 127\.0\.0\.1:\d+, 11 servers announced/);
});

test.serial('status --json says where things are, and its sftp line works as it stands', async (t) => {
  const { work, grid } = await startGrid(t);
  const status = JSON.parse(await tahoeOutput('-d', grid, 'status', '--json')) as NodeStatus;
  t.is(status.servers.filter(({ state }) => state === 'connected').length, 10);
  t.deepEqual(status.mounts, []);
  t.regex(status.sftp?.hostKeyFingerprint ?? '', /^SHA256:/);
  t.regex(status.sftp?.sshfs ?? '', /^sshfs -p \d+ .* tahoe@127\.0\.0\.1:\/$/);
  await writeFile(join(work, 'batch'), `put ${join(work, 'batch')} "/by sftp"\n`);
  const line = status.sftp?.sftp.replace(/^sftp /, `sftp -q -b '${join(work, 'batch')}' `) ?? 'false';
  await promisify(execFile)('sh', ['-c', line]);
  t.regex(await tahoeOutput('-d', grid, 'ls'), /^by sftp$/m);
  t.is((await stat(join(grid, 'client/private/sftp_user_key'))).mode & 0o777, 0o600);
});

test.serial('a client that is started without its grid shows what it proved there last, and says so', async (t) => {
  t.timeout(120_000);
  const { work, grid, running } = await startGrid(t);
  await writeFile(join(work, 'file'), 'content');
  await tahoeOutput('-d', grid, 'put', join(work, 'file'), 'tahoe:a/file');
  t.is(await running.stop(), 0);
  const client = join(grid, 'client');
  const alone = await runTahoe(t, client);
  t.is(await tahoeOutput('-d', client, 'ls'), 'a');
  t.is(await tahoeOutput('-d', client, 'ls', 'tahoe:a'), 'file');
  t.regex(
    await tahoeOutput('-d', client, 'status'),
    /^NOTICE: 2 directories are shown as they were when this node proved/m,
  );
  t.is(await alone.stop(), 0);
  await runTahoe(t, grid);
  t.is(await tahoeOutput('-d', grid, 'ls'), 'a');
  t.notRegex(await tahoeOutput('-d', grid, 'status'), /when this node proved/);
});
