import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TahoeError } from '../../src/errors/tahoe-error.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { Conflict, ConflictChoice } from '../../src/vfs/vfs.js';
import { startWebServer } from '../../src/web/web-server.js';
import { LiteralGrid } from '../support/literal-grid.js';
import { MemoryVfs } from '../support/memory-vfs.js';
import { tahoe, tahoeOutput, temporaryDirectory } from '../support/running-tahoe.js';

const side = { kind: 'file', sizeBytes: 1234, modified: { seconds: 1_700_000_000, nanoseconds: 0 } } as const;

class ConflictingVfs extends MemoryVfs {
  readonly standing: Conflict[] = [7, 9].map((id) => ({
    id,
    kind: 'changed',
    path: `/d/file ${id}`,
    conflictPath: id === 9 ? undefined : `/d/file ${id}.conflict-node-20260101T000000Z`,
    whenMs: 1_700_000_100_000,
    ours: side,
    theirs: undefined,
  }));
  readonly choices: [number, ConflictChoice][] = [];

  override conflicts(): readonly Conflict[] {
    return this.standing;
  }

  override async resolveConflict(id: number, choice: ConflictChoice): Promise<void> {
    const index = this.standing.findIndex((conflict) => conflict.id === id);
    if (index < 0) throw new TahoeError('no such conflict', { kind: 'not-found', op: 'vfs.resolve-conflict' });
    this.standing.splice(index, 1);
    this.choices.push([id, choice]);
  }
}

/** A node directory whose node has two conflicts. */
async function start(t: ExecutionContext): Promise<{ directory: string; vfs: ConflictingVfs }> {
  const directory = await temporaryDirectory(t);
  const apiToken = randomBytes(16).toString('hex');
  const vfs = new ConflictingVfs();
  const unexpected = () => {
    throw new Error('not expected');
  };
  const web = await startWebServer(
    {
      vfs,
      grid: new LiteralGrid(),
      control: {
        status: unexpected,
        mount: unexpected,
        unmount: unexpected,
        locate: unexpected,
        stop: unexpected,
        introducers: unexpected,
      },
      platform: { clock: new NodeClock(), entropy: new NodeEntropy(), files: new NodeFileStore(), log: silentLogger },
      spoolDirectory: directory,
      apiToken,
      newDirectory: { mode: 0o755, uid: 0, gid: 0 },
    },
    { port: 0, host: '127.0.0.1' },
  );
  t.teardown(() => web.close());
  await mkdir(join(directory, 'private'));
  await writeFile(join(directory, 'private/api_auth_token'), apiToken);
  await writeFile(join(directory, 'tahoe.cfg'), '[node]\n');
  await writeFile(join(directory, 'node.url'), web.url);
  return { directory, vfs };
}

test('conflicts are listed, shown and settled by the words of the person', async (t) => {
  const { directory, vfs } = await start(t);
  t.is(
    await tahoeOutput('-d', directory, 'conflicts'),
    "7  /d/file 7  ours is /d/file 7.conflict-node-20260101T000000Z\n9  /d/file 9  ours is in this node's journal",
  );
  t.deepEqual(JSON.parse(await tahoeOutput('-d', directory, 'conflicts', 'list', '--json')).length, 2);
  const shown = await tahoeOutput('-d', directory, 'conflicts', 'show', '7');
  t.regex(shown, /^conflict 7: \/d\/file 7 \(both changed what stood there\), found 2023-11-14T22:15:00/);
  t.regex(shown, /ours: {3}file of 1\.2 kB.*\ntheirs: not known/);

  const wrong = await tahoe('-d', directory, 'conflicts', 'resolve', '7', 'mine');
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /none of: ours, theirs, both/);
  t.is((await tahoe('-d', directory, 'conflicts', 'resolve', '8', 'ours')).code, 2);
  await tahoeOutput('-d', directory, 'conflicts', 'resolve', '7', 'ours');
  await tahoeOutput('-d', directory, 'conflicts', 'resolve', '9', 'both');
  t.deepEqual(vfs.choices, [
    [7, 'ours'],
    [9, 'both'],
  ]);
  const none = await tahoe('-d', directory, 'conflicts');
  t.is(none.code, 0);
  t.regex(none.stderr, /there are no conflicts/);
});

test('what another program has overwritten or removed is shown with the capability that it had', async (t) => {
  const { directory, vfs } = await start(t);
  const missing = {
    kind: 'missing',
    path: '/d/gone',
    conflictPath: undefined,
    keptCap: 'URI:LIT:krugkidfnzsc4',
  } as const;
  vfs.standing.splice(0, 2, { ...vfs.standing[0]!, ...missing });
  t.is(await tahoeOutput('-d', directory, 'conflicts'), "7  /d/gone  ours is in this node's journal");
  const shown = await tahoeOutput('-d', directory, 'conflicts', 'show', '7');
  t.regex(shown, /^conflict 7: \/d\/gone \(synced here, then overwritten or removed by another program\)/);
  t.regex(shown, /^ours: .*\n +URI:LIT:krugkidfnzsc4\ntheirs: nothing has the name$/m);
});
