import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { Receipt } from '../../src/vfs/vfs.js';
import {
  isMountPoint,
  mountNode,
  type RealNode,
  shell,
  startGrid,
  startSeparately,
  startServers,
  statusOf,
  timed,
} from '../support/real-grid.js';
import { runTahoe, tahoe, tahoeOutput } from '../support/running-tahoe.js';

test.serial(
  'a path has one state and one receipt: on the command line, as extended attributes, in the metrics',
  async (t) => {
    const grid = await startGrid(t);
    const mount = await mountNode(t, grid, join(grid.work, 'mount'));
    await shell('mkdir -p "$1/d"; head -c 100000 /dev/urandom > "$1/d/file"; sync -d "$1/d/file"', mount);
    const file = join(mount, 'd/file');
    t.is(await tahoeOutput('-d', grid.directory, 'status', file), 'grid');
    t.is(await tahoeOutput('-d', grid.directory, 'status', 'tahoe:d/file'), 'grid');
    t.is(await attributeOf(file, 'user.tahoe.state'), 'grid');
    const receipt = JSON.parse(await tahoeOutput('-d', grid.directory, 'receipt', 'tahoe:d/file', '--json')) as Receipt;
    t.deepEqual(JSON.parse(await attributeOf(file, 'user.tahoe.receipt')), receipt);
    t.deepEqual(JSON.parse(await tahoeOutput('-d', grid.directory, 'receipt', file, '--json')), receipt);
    t.true(receipt.isCurrent);
    t.is(receipt.shares.length, 10);
    for (const { id, nickname } of (await statusOf(grid)).servers) {
      const named = receipt.shares.find(({ server }) => server === id)?.shareNumbers ?? [];
      const held = await shell('find "$1" -type f -printf "%f\\n"', join(grid.directory, nickname, 'storage/shares'));
      t.true(
        named.length > 0 && named.every((share) => held.split('\n').includes(String(share))),
        `${nickname} ${held}`,
      );
    }
    t.regex(
      await tahoeOutput('-d', grid.directory, 'receipt', file),
      /^cap: URI:CHK:[\s\S]*directory \/d: storage index/,
    );
    const metrics = await metricsOf(grid);
    t.is(metrics.get('tahoe_pending_bytes'), 0);
    t.is(metrics.get('tahoe_fsync_seconds_count'), 1);
    t.is(metrics.get('tahoe_uncoordinated_write_errors_total'), 0);
    t.true(metrics.get('tahoe_journal_free_bytes')! > 1e8);
    await grid.running.stop();
    grid.running = await runTahoe(t, grid.directory);
    t.deepEqual(JSON.parse(await tahoeOutput('-d', grid.directory, 'receipt', 'tahoe:d/file', '--json')), receipt);
    const { code } = await tahoe('-d', grid.directory, 'conflicts');
    t.is(code, 0);
  },
);

test.serial(
  'fsync under an unreachable grid fails in bounded time and says why, close still succeeds, all arrives later',
  async (t) => {
    const grid = await startSeparately(t);
    const mount = await mountNode(t, grid, join(grid.work, 'mount'));
    await Promise.all(grid.servers.map((server) => server.stop('SIGKILL')));
    const file = join(mount, 'file');
    const { result, seconds } = await timed(
      shell(
        `python3 -c "
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b'x' * 70000)
try:
    os.fsync(fd)
    print('fsync succeeded')
except OSError as error:
    print('fsync', error.errno)
os.close(fd)
print('closed')
" "$1"`,
        file,
      ),
    );
    t.regex(result, /^fsync (5|110)\nclosed\n$/);
    t.true(seconds < 120, `${seconds} s`);
    const state = await attributeOf(file, 'user.tahoe.state');
    t.regex(state, /^(local|uploading)/);
    t.is(await tahoeOutput('-d', grid.directory, 'status', file), state);
    const log = await readFile(join(grid.directory, 'client/logs/tahoe.log'), 'utf8');
    t.regex(log, /unhappy|placed|servers/);
    t.true(
      (await metricsOf({ ...grid, directory: join(grid.directory, 'client') })).get('tahoe_pending_bytes')! >= 70_000,
    );
    const none = await tahoe('-d', grid.directory, 'receipt', file);
    t.is(none.code, 3);
    t.regex(none.stderr, /no receipt yet/);

    const now = await tahoe('-d', grid.directory, 'unmount', '--now', mount);
    t.is(now.code, 3);
    t.regex(now.stderr, /1 file \(70\.0 kB\) and 1 directory are on this computer only/);
    t.false(await isMountPoint(mount));
    const stopped = await tahoe('-d', grid.directory, 'stop', '--now');
    t.is(stopped.code, 3);
    t.regex(stopped.stderr, /1 file \(70\.0 kB\)/);
    t.is(await grid.running.stop(), 3);

    await startServers(t, grid.directory, [...Array(10).keys()]);
    grid.running = await runTahoe(t, join(grid.directory, 'client'));
    const waited = await tahoe('-d', grid.directory, 'stop');
    t.is(waited.code, 0, waited.stderr);
    grid.running = await runTahoe(t, join(grid.directory, 'client'));
    t.is(await tahoeOutput('-d', grid.directory, 'status', 'tahoe:file'), 'grid');
    t.is((await statusOf(grid)).pending.filesPending, 0);
  },
);

async function attributeOf(path: string, name: string): Promise<string> {
  return shell(
    'python3 -c "import os, sys; sys.stdout.buffer.write(os.getxattr(sys.argv[1], sys.argv[2]))" "$1" "$2"',
    path,
    name,
  );
}

/** Values by name; also checks that the text is what a collector takes. */
async function metricsOf({ directory }: RealNode): Promise<Map<string, number>> {
  const url = (await tahoeOutput('-d', directory, 'status', '--json').then(() => nodeUrl(directory))).trim();
  const answer = await fetch(`${url}metrics`);
  const text = await answer.text();
  if (
    !(answer.headers.get('content-type') ?? '').startsWith('application/openmetrics-text') ||
    !text.endsWith('# EOF\n')
  ) {
    throw new Error(`not OpenMetrics: ${text}`);
  }
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line): [string, number] => {
      const [name, value] = line.split(' ');
      return [name!, Number(value)];
    }),
  );
}

async function nodeUrl(directory: string): Promise<string> {
  return readFile(join(directory, 'node.url'), 'utf8').catch(() =>
    readFile(join(directory, 'client/node.url'), 'utf8'),
  );
}
