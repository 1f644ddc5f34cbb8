import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';
import type { ServerId } from '../../../src/encoding/brands.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { AnnouncementCache } from '../../../src/introducer/announcement-cache.js';
import { AnnouncementSequencer } from '../../../src/introducer/announcement-sequencer.js';
import type { Announcement } from '../../../src/introducer/introducer.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { TextFiles } from '../../../src/platform/text-files.js';
import { ManualClock } from '../../support/manual-clock.js';

async function nodeDirectory(t: ExecutionContext) {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-announcements-'));
  t.teardown(() => rm(path, { recursive: true }));
  await mkdir(join(path, 'private'));
  return { path, files: new TextFiles(new NodeFileStore(), path), clock: new ManualClock() };
}

const announced = (server: string, fields: Record<string, unknown>): Announcement => ({
  serverId: server as ServerId,
  serviceName: 'storage',
  fields: { 'service-name': 'storage', ...fields },
});

test('what is kept is read back, in the form of the reference, whatever is in it', async (t) => {
  const { path, files, clock } = await nodeDirectory(t);
  const shared = ['same', 'list'];
  const kept = [
    announced('v0-a', { nickname: 'Ünï: "code" #x', seqnum: 3, 'anonymous-storage-NURLs': ['pb://a@b:1/c#v=1'] }),
    announced('v0-b', { yes: 'yes', null: null, date: '2026-01-01', nested: { shared, again: shared } }),
  ];
  const cache = new AnnouncementCache(files, 'my grid', { clock, log: silentLogger });
  cache.keep(() => kept.slice(0, 1));
  cache.keep(() => kept);
  await cache.flush();
  t.deepEqual(await cache.read(), kept);
  const text = await readFile(join(path, 'private/introducer_my grid_cache.yaml'), 'utf8');
  t.deepEqual(
    parse(text),
    kept.map(({ serverId, fields }) => ({ ann: fields, key_s: serverId })),
  );
});

test('a cache that is damaged gives what can be understood, one that is missing nothing', async (t) => {
  const { path, files, clock } = await nodeDirectory(t);
  const cache = new AnnouncementCache(files, 'x', { clock, log: silentLogger });
  t.deepEqual(await cache.read(), []);
  for (const text of ['{', 'a: 1', '- &a [1]\n- *a']) {
    await writeFile(join(path, 'private/introducer_x_cache.yaml'), text);
    t.deepEqual(await cache.read(), [], text);
  }
  const good = '- {key_s: v0-a, ann: {service-name: storage}}';
  await writeFile(join(path, 'private/introducer_x_cache.yaml'), `- 5\n- {ann: 5}\n${good}\n- null\n`);
  t.deepEqual(await cache.read(), [announced('v0-a', {})]);
});

test('numbers rise by one, also asked for at once, and over restarts', async (t) => {
  const { path, files } = await nodeDirectory(t);
  const sequencer = new AnnouncementSequencer(files, new NodeEntropy());
  const numbers = await Promise.all([sequencer.next(), sequencer.next(), sequencer.next()]);
  t.deepEqual(
    numbers.map(({ seqnum }) => seqnum),
    [1, 2, 3],
  );
  t.is(new Set(numbers.map(({ nonce }) => nonce)).size, 3);
  t.regex(numbers[0]?.nonce ?? '', /^[a-z2-7]{52}$/);
  t.is(await readFile(join(path, 'announcement-seqnum'), 'utf8'), '3\n');
  t.is((await new AnnouncementSequencer(files, new NodeEntropy()).next()).seqnum, 4);
  await writeFile(join(path, 'announcement-seqnum'), 'many\n');
  t.true(isTahoeError(await t.throwsAsync(sequencer.next()), 'invalid'));
  await writeFile(join(path, 'announcement-seqnum'), '41\n');
  t.is((await sequencer.next()).seqnum, 42);
});
