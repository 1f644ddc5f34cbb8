import test from 'ava';
import fc from 'fast-check';
import type { ServerId } from '../../../src/encoding/brands.js';
import { AnnouncementIndex } from '../../../src/introducer/announcement-index.js';
import type { Announcement } from '../../../src/introducer/introducer.js';

const LIMITS = { maxAnnouncements: 3, maxTotalBytes: 1000 };

function announcement(fields: Record<string, unknown>, server = 'v0-a', serviceName = 'storage'): Announcement {
  return { serverId: server as ServerId, serviceName, fields };
}

test('a greater number replaces; the same, a smaller or none is a replay', (t) => {
  const index = new AnnouncementIndex<string>(LIMITS);
  t.is(index.consider(announcement({ seqnum: 5, x: 1 }), 10, 'a'), 'new');
  t.is(index.consider(announcement({ x: 1, seqnum: 5 }), 10, 'b'), 'duplicate', 'in any order of its keys');
  t.is(index.consider(announcement({ seqnum: 5, x: 2 }), 10, 'c'), 'replay');
  t.is(index.consider(announcement({ seqnum: 4, x: 2 }), 10, 'd'), 'replay');
  t.is(index.consider(announcement({ x: 2 }), 10, 'e'), 'replay');
  t.is(index.consider(announcement({ seqnum: '6' }), 10, 'f'), 'replay');
  t.is(index.consider(announcement({ seqnum: 6.5 }), 10, 'f'), 'replay');
  t.is(index.consider(announcement({ seqnum: 6, x: 2 }), 10, 'g'), 'update');
  t.deepEqual(
    [...index.entries()].map(({ kept }) => kept),
    ['g'],
  );
});

test('one without a number is replaced by anything', (t) => {
  const index = new AnnouncementIndex<undefined>(LIMITS);
  t.is(index.consider(announcement({ x: 1 }), 10, undefined), 'new');
  t.is(index.consider(announcement({ x: 2 }), 10, undefined), 'update');
  t.is(index.consider(announcement({ x: 3, seqnum: 1 }), 10, undefined), 'update');
  t.is(index.consider(announcement({ x: 4 }), 10, undefined), 'replay');
});

test('servers and services are apart', (t) => {
  const index = new AnnouncementIndex<string>(LIMITS);
  t.is(index.consider(announcement({ seqnum: 5 }), 10, 'a'), 'new');
  t.is(index.consider(announcement({ seqnum: 5 }, 'v0-b'), 10, 'b'), 'new');
  t.is(index.consider(announcement({ seqnum: 5 }, 'v0-a', 'other'), 10, 'c'), 'new');
  t.deepEqual(
    [...index.entries('storage')].map(({ kept }) => kept),
    ['a', 'b'],
  );
});

test('what is kept is bounded in number and in bytes, and what is there can still be replaced', (t) => {
  const index = new AnnouncementIndex<undefined>(LIMITS);
  for (const server of ['a', 'b', 'c']) {
    t.is(index.consider(announcement({ seqnum: 1 }, server), 300, undefined), 'new');
  }
  t.is(index.consider(announcement({ seqnum: 1 }, 'd'), 10, undefined), 'full');
  t.is(index.consider(announcement({ seqnum: 2 }, 'a'), 401, undefined), 'full', 'its bytes would be too many');
  t.is(index.consider(announcement({ seqnum: 2 }, 'a'), 400, undefined), 'update');
  t.is(index.size, 3);
});

test('whatever comes in whatever order, the greatest number stays', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 20 }), (numbers) => {
      const index = new AnnouncementIndex<number>(LIMITS);
      for (const [at, seqnum] of numbers.entries()) index.consider(announcement({ seqnum, at }), 10, seqnum);
      t.deepEqual(
        [...index.entries()].map(({ kept }) => kept),
        [Math.max(...numbers)],
      );
    }),
  );
});
