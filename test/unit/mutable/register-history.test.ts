import test from 'ava';
import { RegisterHistory } from '../../../src/mutable/register-history.js';
import type { SlotContext } from '../../../src/mutable/slot-context.js';
import type { SeenShare, SlotMap } from '../../../src/mutable/slot-map.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';

const servers = ['a', 'b', 'c'].map((name) => new MemoryStorageServer(name));

/** What each server holds now; those not named do not answer. */
function mapOf(clock: ManualClock, held: Record<string, string | undefined>): SlotMap {
  const answered = new Map(
    servers
      .filter(({ nickname }) => nickname in held)
      .map((server): [MemoryStorageServer, Map<number, SeenShare>] => {
        const version = held[server.nickname];
        const share: SeenShare = { server, shareNumber: 0, head: new Uint8Array(0), version };
        return [server, new Map([[0, share]])];
      }),
  );
  const takenAtMs = clock.monotonicMs();
  return { asked: servers, answered, silent: new Map(), versions: new Map(), publicKey: undefined, takenAtMs };
}

function history() {
  const clock = new ManualClock();
  const made = new RegisterHistory({ clock, publishMs: 15_000, settleMarginMs: 5000 } as unknown as SlotContext);
  return { clock, note: (held: Record<string, string | undefined>) => made.note(mapOf(clock, held)), made };
}

test('servers have settled when they show the same again after the whole time, and not by the time alone', (t) => {
  const { clock, note, made } = history();
  t.is(made.settleMs, 20_000);
  t.false(note({ a: 'v1', b: 'v1' }));
  clock.advance(19_999);
  t.false(note({ a: 'v1', b: 'v1' }));
  clock.advance(1);
  t.true(note({ a: 'v1', b: 'v1' }));
});

test('a server that shows something else, or for the first time, begins anew', (t) => {
  const { clock, note } = history();
  note({ a: 'v1', b: 'v1' });
  clock.advance(20_000);
  t.false(note({ a: 'v1', b: 'v2' }));
  clock.advance(10_000);
  t.false(note({ a: 'v1', b: 'v2', c: 'v1' }));
  clock.advance(10_000);
  t.false(note({ a: 'v1', b: 'v2', c: 'v1' }), 'c is not there for long enough');
  t.true(note({ a: 'v1', b: 'v2' }), 'a silent one does not count');
  clock.advance(10_000);
  t.true(note({ a: 'v1', b: 'v2', c: 'v1' }));
  t.false(note({ a: undefined, b: 'v2' }), 'damaged is something else');
});

test('nothing that answers has settled', (t) => {
  const { clock, note } = history();
  note({});
  clock.advance(100_000);
  t.false(note({}));
});
