import test, { type ExecutionContext } from 'ava';
import { isTahoeError, TahoeError } from '../../../src/errors/tahoe-error.js';
import type { Log, LogPosition } from '../../../src/vfs/journal/log.js';
import { openLog } from '../../../src/vfs/journal/log-engine.js';
import { salvageLog } from '../../../src/vfs/journal/log-recovery.js';
import { HEADER_BYTES, JournalKeys } from '../../../src/vfs/journal/segment.js';
import { CrashFileStore } from '../../support/crash-file-store.js';
import { seededFraction, TEST_SEGMENT_BYTES, testLogOptions } from '../../support/log-owner.js';

async function replayed(disk: CrashFileStore, seed = 99): Promise<string[]> {
  const opened = await openLog(testLogOptions(disk, seed));
  const texts: string[] = [];
  for await (const record of opened.replay) texts.push(textOf(record.kind, record.payload));
  await opened.log.finishReplay();
  await opened.log.close();
  return texts;
}

function textOf(kind: number, payload: Uint8Array): string {
  return `${kind}:${Buffer.from(payload).toString('latin1')}`;
}

async function freshLog(disk: CrashFileStore, seed = 1): Promise<Log> {
  const { log } = await openLog(testLogOptions(disk, seed));
  await log.finishReplay();
  return log;
}

async function kindOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return 'none';
  } catch (error) {
    return error instanceof TahoeError ? error.kind : String(error);
  }
}

async function appendWhenReady(log: Log, bytes: Uint8Array, urgency: 'data' | 'drain' = 'data'): Promise<LogPosition> {
  await log.whenReady();
  return log.append(1, [bytes], urgency);
}

/** Space is found in the background: of an attempt that begins before that, the next one may still see the failure. */
async function kindOnceThereIsSpace(log: Log, length: number): Promise<string> {
  let kind = 'no-space';
  for (let attempt = 0; kind === 'no-space' && attempt < 500; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    kind = await kindOf(() => appendWhenReady(log, new Uint8Array(length)));
  }
  return kind;
}

test('replay gives back what was appended, in order, through many segments and several processes', async (t) => {
  const disk = new CrashFileStore();
  const fraction = seededFraction(5);
  const expected: string[] = [];
  for (let round = 0; round < 4; round++) {
    t.deepEqual(await replayed(disk, 10 + round), expected);
    const log = await freshLog(disk, round);
    for (let index = 0; index < 12; index++) {
      const payload = new Uint8Array(Math.floor(fraction() * 16_000)).fill(index);
      await log.whenReady();
      const position = log.append(index, [payload.subarray(0, 10), payload.subarray(10)], 'data');
      expected.push(textOf(index, payload));
      t.deepEqual(await log.read(position), payload);
    }
    await log.close();
  }
  t.deepEqual(await replayed(disk), expected);
});

/** A log whose last segment holds ten records that no sync has covered. */
async function unsyncedTail(): Promise<{ disk: CrashFileStore; path: string; ends: number[] }> {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  const ends: number[] = [];
  for (let index = 0; index < 10; index++) {
    const position = log.append(index, [new Uint8Array(index * 7).fill(index)], 'drain');
    ends.push((position % 2 ** 26) + 30 + index * 7);
  }
  return { disk: disk.clone(), path: '/journal/000000001.log', ends };
}

async function expectPrefix(
  t: ExecutionContext,
  disk: CrashFileStore,
  firstDamage: number,
  ends: number[],
): Promise<void> {
  const found = await replayed(disk);
  t.is(found.length, ends.filter((end) => end <= firstDamage).length, `damage at ${firstDamage}`);
  t.true(found.every((text, index) => text === textOf(index, new Uint8Array(index * 7).fill(index))));
}

test('a tail cut, zeroed or flipped anywhere leaves exactly the records before the damage', async (t) => {
  const { disk, path, ends } = await unsyncedTail();
  const last = ends.at(-1) ?? 0;
  for (let at = HEADER_BYTES; at < last; at += 11) {
    const zeroed = disk.clone();
    zeroed.damage(path, (bytes) => bytes.fill(0, at, bytes.length - HEADER_BYTES));
    // The first byte of a length is zero anyhow.
    const firstDifference = (await disk.readFile(path)).findIndex((byte, index) => index >= at && byte !== 0);
    await expectPrefix(t, zeroed, firstDifference, ends);
    const flipped = disk.clone();
    flipped.damage(path, (bytes) => {
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
      return bytes;
    });
    await expectPrefix(t, flipped, at, ends);
    const cut = disk.clone();
    cut.damage(path, (bytes) => bytes.subarray(0, at + HEADER_BYTES));
    await expectPrefix(t, cut, at, ends);
  }
});

test('one damaged header does not matter, both are reported', async (t) => {
  const { disk, path, ends } = await unsyncedTail();
  disk.damage(path, (bytes) => bytes.fill(9, 0, HEADER_BYTES));
  t.is((await replayed(disk.clone())).length, ends.length);
  disk.damage(path, (bytes) => bytes.fill(9, bytes.length - HEADER_BYTES));
  t.is(await kindOf(() => replayed(disk)), 'corrupt');
});

test('a segment that was cut off while its first header was written is not damage', async (t) => {
  const { disk, ends } = await unsyncedTail();
  const next = '/journal/000000002.log';
  t.true(
    (await disk.readFile(next)).some((byte) => byte !== 0),
    'prepared',
  );
  for (let written = 0; written <= HEADER_BYTES; written += 8) {
    const cut = disk.clone();
    cut.damage(next, (bytes) => bytes.fill(0, written));
    t.is((await replayed(cut)).length, ends.length, `${written} bytes`);
  }
  disk.damage(next, (bytes) => bytes.fill(9));
  t.is(await kindOf(() => replayed(disk)), 'corrupt', 'something stands behind the header');
});

test('damage before the synced position is corruption, touches nothing, and the rest can be salvaged', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  for (let index = 0; index < 10; index++) log.append(index, [new Uint8Array(100).fill(index)], 'drain');
  await log.close();
  const whole = disk.clone();
  const damaged = disk.clone();
  damaged.damage('/journal/000000001.log', (bytes) => bytes.fill(0, 500, 520));
  const before = await Promise.all(damaged.paths().map((path) => damaged.readFile(path)));
  const error = await t.throwsAsync(replayed(damaged));
  t.true(isTahoeError(error, 'corrupt'));
  t.regex(error?.message ?? '', /7 records behind it can be read/);
  t.deepEqual(await Promise.all(damaged.paths().map((path) => damaged.readFile(path))), before);
  const kinds: number[] = [];
  const keys = new JournalKeys(new Uint8Array(32).fill(7));
  for await (const record of salvageLog(damaged, '/journal', keys)) kinds.push(record.kind);
  t.deepEqual(kinds, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
  t.is((await replayed(whole)).length, 10);
});

test('another key is refused with nothing touched', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  log.append(1, [new Uint8Array(10)], 'drain');
  await log.checkpoint(() => {});
  await log.close();
  const other = disk.clone();
  const options = testLogOptions(other, 2, { masterKey: new Uint8Array(32).fill(8) });
  t.is(await kindOf(() => openLog(options)), 'permission');
  t.is(other.operations, 0);
});

test('a checkpoint that throws is void, and what follows it is replayed', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  log.append(1, [new Uint8Array(1)], 'drain');
  const failing = log.checkpoint(() => {
    log.append(2, [new Uint8Array(2)], 'drain');
    throw new TahoeError('no', { kind: 'invalid', op: 'test' });
  });
  t.is(await kindOf(() => failing), 'invalid');
  log.append(3, [new Uint8Array(3)], 'drain');
  await log.close();
  t.deepEqual(
    (await replayed(disk)).map((text) => text[0]),
    ['1', '3'],
  );
});

test('old segments are recycled by a checkpoint unless they are held', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  const held = await appendWhenReady(log, new Uint8Array(50_000).fill(4));
  log.hold(held);
  const loose = await fillSegments(log, 3);
  await log.checkpoint(() => {});
  t.is((await log.read(held)).length, 50_000);
  t.is(await kindOf(() => log.read(loose)), 'corrupt');
  const usedBytes = log.usage().bytes;
  log.drop(held);
  await log.sync();
  await log.checkpoint(() => {});
  t.true(log.usage().bytes <= usedBytes);
  t.is(await kindOf(() => log.read(held)), 'corrupt');
  // Many times the size of the journal goes through it.
  for (let round = 0; round < 20; round++) {
    await fillSegments(log, 3);
    await log.checkpoint(() => {});
  }
  t.true(disk.paths().length < 14);
  await log.close();
});

/** Returns a position in the second segment. */
async function fillSegments(log: Log, segments: number): Promise<LogPosition> {
  let position = 0;
  for (let index = 0; index < 2 * segments + 1; index++) {
    const next = await appendWhenReady(log, new Uint8Array(60_000));
    if (index === 2) position = next;
  }
  return position;
}

test('a journal at its limit refuses data and still takes what drains it', async (t) => {
  const log = await freshLog(new CrashFileStore());
  let accepted = 0;
  while ((await kindOf(() => appendWhenReady(log, new Uint8Array(30_000)))) === 'none') accepted += 1;
  t.is(await kindOf(() => appendWhenReady(log, new Uint8Array(30_000))), 'no-space');
  t.true(accepted >= 30 && accepted < 42, `${accepted}`);
  t.true(log.checkpointDue);
  for (let index = 0; index < 8; index++) await appendWhenReady(log, new Uint8Array(30_000), 'drain');
  await log.checkpoint(() => {});
  t.is(await kindOf(() => appendWhenReady(log, new Uint8Array(30_000))), 'none');
  await log.close();
});

test('a full disk refuses data before it is taken, keeps a segment for draining, and recovers', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  await log.whenReady();
  disk.freeBytes = 0;
  let accepted = 0;
  let kind = 'none';
  for (; kind === 'none'; accepted++) kind = await kindOf(() => appendWhenReady(log, new Uint8Array(30_000)));
  t.is(kind, 'no-space');
  t.true(accepted > 4 && accepted < 14);
  t.is(await kindOf(() => appendWhenReady(log, new Uint8Array(60_000), 'drain')), 'none');
  await log.sync();
  disk.freeBytes = 100 * TEST_SEGMENT_BYTES;
  t.is(await kindOf(() => log.append(1, [new Uint8Array(60_000)], 'data')), 'no-space');
  t.is(await kindOnceThereIsSpace(log, 60_000), 'none');
  await log.close();
  t.is((await replayed(disk)).length, accepted + 1);
});

test('a checkpoint gives a full disk its segments back, also when the last one is in use', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  await log.whenReady();
  disk.freeBytes = 0;
  while ((await kindOf(() => appendWhenReady(log, new Uint8Array(30_000)))) === 'none');
  t.is(await kindOf(() => appendWhenReady(log, new Uint8Array(60_000), 'drain')), 'none');
  await log.sync();
  t.is(await kindOf(() => log.checkpoint(() => log.append(2, [new Uint8Array(100)], 'drain'), 100)), 'none');
  t.is(await kindOnceThereIsSpace(log, 30_000), 'none');
  await log.close();
  t.deepEqual(
    (await replayed(disk)).map((text) => text.slice(0, 2)),
    ['2:', '1:'],
  );
});

test('a failed sync fails the log for good', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  await log.whenReady();
  log.append(1, [new Uint8Array(10)], 'data');
  disk.beforeOperation = (op) => {
    if (op === 'sync') throw new TahoeError('EIO', { kind: 'internal', op });
  };
  t.is(await kindOf(() => log.sync()), 'internal');
  disk.beforeOperation = () => {};
  t.is(await kindOf(() => log.sync()), 'internal');
  t.is(await kindOf(() => log.append(1, [], 'drain')), 'internal');
  t.is(await kindOf(() => log.checkpoint(() => {})), 'internal');
  await log.close();
});

test('callers who sync at the same time share one fdatasync', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  await new Promise((resolve) => setTimeout(resolve, 20));
  let syncs = 0;
  disk.beforeOperation = (op) => {
    if (op === 'sync') syncs += 1;
  };
  const closes = Array.from({ length: 50 }, async () => {
    log.append(1, [new Uint8Array(10)], 'drain');
    await log.sync();
  });
  await Promise.all(closes);
  t.true(syncs <= 2, `${syncs}`);
  await log.close();
});

test('a checkpoint longer than a segment is provided for beforehand and replayed whole', async (t) => {
  const disk = new CrashFileStore();
  const log = await freshLog(disk);
  log.append(9, [], 'drain');
  const writeAll = () => {
    for (let index = 0; index < 8; index++) log.append(index, [new Uint8Array(60_000)], 'drain');
  };
  await log.checkpoint(writeAll, 8 * 60_000);
  log.append(8, [], 'drain');
  await log.close();
  t.deepEqual(
    (await replayed(disk)).map((text) => text[0]),
    ['0', '1', '2', '3', '4', '5', '6', '7', '8'],
  );
});
