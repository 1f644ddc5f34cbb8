import test from 'ava';
import type { ReadKey } from '../../../src/encoding/brands.js';
import { type Assessment, assessSlot, type SlotMemory } from '../../../src/mutable/assess-slot.js';
import { compareVersions, isBuiltOn, lineageIv, versionKey } from '../../../src/mutable/lineage.js';
import {
  answeredRegisters,
  quorumsOf,
  type SeenShare,
  type SeenVersion,
  type SlotMap,
} from '../../../src/mutable/slot-map.js';
import type { SdmfCheckstring, SdmfPrefix } from '../../../src/share-layout/sdmf-share.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';

const readKey = new Uint8Array(16).fill(5) as ReadKey;
const encoding = { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 };
const quorums = quorumsOf(encoding);
let nonces = 0;

/** A version of ours, built on `base`. */
function version(sequenceNumber: number, name: number, base?: SdmfCheckstring): SdmfCheckstring {
  const nonce = new Uint8Array(8);
  new DataView(nonce.buffer).setUint32(0, ++nonces);
  return { sequenceNumber, rootHash: new Uint8Array(32).fill(name), iv: lineageIv(readKey, nonce, base) };
}

/** What stands on server 0, 1, ...: `undefined` no answer, `null` no share, `damaged` a share that proves nothing. */
type Held = SdmfCheckstring | undefined | null | 'damaged';

function mapOf(held: readonly Held[], sharesNeeded = 3): SlotMap {
  const asked = held.map((_, index) => new MemoryStorageServer(`s${index}`));
  const answered = new Map<MemoryStorageServer, Map<number, SeenShare>>();
  const silent = new Map<MemoryStorageServer, unknown>();
  const versions = new Map<string, SeenVersion>();
  held.forEach((each, shareNumber) => {
    const server = asked[shareNumber]!;
    if (each === undefined) {
      silent.set(server, 'no answer');
      return;
    }
    const shares = new Map<number, SeenShare>();
    answered.set(server, shares);
    if (each === null) return;
    const key = each === 'damaged' ? undefined : versionKey(each);
    const share: SeenShare = { server, shareNumber, head: new Uint8Array(0), version: key };
    shares.set(shareNumber, share);
    if (each === 'damaged' || key === undefined) return;
    const prefix: SdmfPrefix = { ...each, sharesNeeded, sharesTotal: held.length, segmentSize: 3, dataLength: 3 };
    const seen = versions.get(key) ?? { key, prefix, shares: new Map<number, SeenShare[]>() };
    versions.set(key, seen);
    seen.shares.set(shareNumber, [share]);
  });
  return { asked, answered, silent, versions, publicKey: undefined, takenAtMs: 0 };
}

function times(count: number, held: Held): Held[] {
  return Array.from({ length: count }, () => held);
}

const nothing: SlotMemory = { proven: undefined, attempts: [] };

function assess(held: readonly Held[], memory: SlotMemory = nothing): Assessment {
  return assessSlot(mapOf(held), memory, quorums, readKey);
}

function baseOf(assessment: Assessment): { base: string; usable: number; highest: number } | string {
  if (assessment.kind !== 'base') return assessment.kind;
  return { base: assessment.key, usable: assessment.usable.length, highest: assessment.highestSequenceNumber };
}

test('quorums are those of the table in the blueprint', (t) => {
  const rows: readonly (readonly [number, number, number, number, number, number])[] = [
    // needed, happy, total, W, Rq, I
    [3, 7, 10, 7, 7, 4],
    [3, 3, 10, 6, 7, 5],
    [3, 6, 10, 6, 7, 5],
    [2, 2, 4, 3, 3, 2],
    [2, 3, 4, 3, 3, 2],
    [1, 1, 4, 3, 3, 2],
    [1, 1, 3, 2, 2, 2],
    [1, 1, 2, 2, 2, 1],
    [2, 2, 2, 2, 2, 1],
    [1, 1, 1, 1, 1, 1],
    [3, 20, 10, 10, 10, 1],
  ];
  for (const [sharesNeeded, sharesHappy, sharesTotal, write, answers, overlap] of rows) {
    const found = quorumsOf({ sharesNeeded, sharesHappy, sharesTotal });
    t.deepEqual(
      [found.write, found.answers, found.overlap],
      [write, answers, overlap],
      `${sharesNeeded}-of-${sharesTotal}`,
    );
    t.true(2 * write > sharesTotal && answers + write >= sharesTotal + sharesNeeded);
  }
});

test('a version says what it was built on, and nothing else', (t) => {
  const first = version(1, 1);
  const second = version(2, 2, first);
  const rival = version(1, 9);
  t.true(isBuiltOn(readKey, second, first));
  t.false(isBuiltOn(readKey, second, rival));
  t.false(isBuiltOn(readKey, first, second));
  t.false(isBuiltOn(readKey, version(3, 3, second), first));
  t.false(isBuiltOn(new Uint8Array(16).fill(6) as ReadKey, second, first));
  t.false(isBuiltOn(readKey, { ...second, iv: new Uint8Array(16) }, first));
});

test('versions are ordered by sequence number, then root hash', (t) => {
  t.true(compareVersions(version(2, 1), version(1, 9)) > 0);
  t.true(compareVersions(version(2, 1), version(2, 9)) < 0);
  const same = version(3, 3);
  t.is(compareVersions(same, { ...same, iv: new Uint8Array(16) }), 0);
  t.not(versionKey(same), versionKey({ ...same, iv: new Uint8Array(16) }));
});

test('a server that holds nothing counts as one answer, a silent one as none', (t) => {
  const v = version(1, 1);
  t.is(answeredRegisters(mapOf([...times(4, v), ...times(2, null), ...times(4, undefined)]), 10), 6);
  t.is(answeredRegisters(mapOf([...times(4, v), ...times(6, null)]), 10), 10);
  t.is(answeredRegisters(mapOf([...times(2, v), ...times(1, null)]), 10), 10);
});

test('no share anywhere is absent; if a version was proven it is rolled back; damaged shares are neither', (t) => {
  t.is(assess(times(10, null)).kind, 'absent');
  t.is(assess(times(10, null), { proven: version(4, 1), attempts: [], isSettled: true }).kind, 'rolled-back');
  t.is(assess([...times(9, null), 'damaged']).kind, 'unavailable');
});

test('fewer answers than Rq are not enough, whatever they say', (t) => {
  t.is(assess([...times(6, version(1, 1)), ...times(4, undefined)]).kind, 'unavailable');
  t.is(assess([...times(7, version(1, 1)), ...times(3, undefined)]).kind, 'base');
});

test('one version on a quorum is the base and everything that holds it may be written', (t) => {
  const v = version(5, 1);
  t.deepEqual(baseOf(assess(times(10, v))), { base: versionKey(v), usable: 10, highest: 5 });
  t.deepEqual(baseOf(assess([...times(8, v), 'damaged', null])), { base: versionKey(v), usable: 9, highest: 5 });
});

test('a newer version that was built on the old one contains it', (t) => {
  const old = version(1, 1);
  const next = version(2, 2, old);
  t.deepEqual(baseOf(assess([...times(3, next), ...times(7, old)])), {
    base: versionKey(next),
    usable: 10,
    highest: 2,
  });
});

test('a half-publish of too few shares is no base and its servers are left alone', (t) => {
  const old = version(1, 1);
  const dead = version(2, 2, old);
  t.deepEqual(baseOf(assess([...times(2, dead), ...times(8, old)])), { base: versionKey(old), usable: 8, highest: 2 });
});

test('an own attempt that landed on one server only can be built on, one that landed nowhere is nothing', (t) => {
  const old = version(1, 1);
  const own = version(2, 2, old);
  const memory: SlotMemory = { proven: old, attempts: [{ version: own, lineage: [versionKey(old)] }] };
  t.deepEqual(baseOf(assess([own, ...times(9, old)], memory)), { base: versionKey(own), usable: 10, highest: 2 });
  t.deepEqual(baseOf(assess(times(10, old), memory)), { base: versionKey(old), usable: 10, highest: 2 });
});

/** The base, what is merged into it, and by which third side. */
function forksOf(assessment: Assessment): { base: string; forks: (readonly [string, string | undefined])[] } | string {
  if (assessment.kind !== 'base') return assessment.kind;
  return { base: assessment.key, forks: assessment.forks.map(({ key, ancestor }) => [key, ancestor] as const) };
}

test('of two readable versions that do not contain each other the higher is the base and the other is merged', (t) => {
  const old = version(1, 1);
  const [ours, theirs] = [version(2, 2, old), version(2, 3, old)];
  const held = [...times(5, ours), ...times(5, theirs)];
  t.deepEqual(forksOf(assess(held)), { base: versionKey(theirs), forks: [[versionKey(ours), undefined]] });
  const known = assess(held, { proven: old, attempts: [] });
  t.deepEqual(forksOf(known), { base: versionKey(theirs), forks: [[versionKey(ours), versionKey(old)]] });
  t.like(baseOf(known), { usable: 10 });
  const [low, high] = [version(2, 8), version(3, 9)];
  t.deepEqual(forksOf(assess([...times(5, low), ...times(5, high)])), {
    base: versionKey(high),
    forks: [[versionKey(low), undefined]],
  });
});

test('a readable fork below the base is merged too: two of them on two servers each must not block for ever', (t) => {
  const small = quorumsOf({ sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 });
  const proven = version(3, 1);
  const [fork, high] = [version(4, 2, proven), version(5, 3, proven)];
  const found = assessSlot(mapOf([fork, fork, high, high], 2), { proven, attempts: [] }, small, readKey);
  t.deepEqual(forksOf(found), { base: versionKey(high), forks: [[versionKey(fork), versionKey(proven)]] });
  t.like(baseOf(found), { usable: 4 });
});

test('a proven version that is visible and that no lineage links to the base is merged, by two sides', (t) => {
  const proven = version(5, 1);
  const stranger = version(6, 2, version(4, 9));
  const found = assess([...times(6, stranger), ...times(4, proven)], { proven, attempts: [] });
  // four shares are enough to read it
  t.deepEqual(forksOf(found), { base: versionKey(stranger), forks: [[versionKey(proven), undefined]] });
});

test('the third side of a merge is the version the fork was built on, never the one the base was built on', (t) => {
  const a = version(1, 1);
  const b = version(2, 2, a);
  const [base, fork] = [version(4, 3, b), version(3, 4, a)];
  const memory: SlotMemory = { proven: a, attempts: [], known: [b] };
  t.deepEqual(forksOf(assess([...times(6, base), ...times(4, fork)], memory)), {
    base: versionKey(base),
    forks: [[versionKey(fork), versionKey(a)]],
  });
  const apart = version(3, 5, version(2, 6));
  t.deepEqual(forksOf(assess([...times(6, base), ...times(4, apart)], memory)), {
    base: versionKey(base),
    forks: [[versionKey(apart), undefined]],
  });
});

test('the third side of an attempt built on another one that stands nowhere is what both it and the base come from', (t) => {
  const proven = version(3, 1);
  const first = version(4, 2, proven);
  const second = version(5, 3, first);
  const base = version(6, 4, proven);
  const attempts = [
    { version: first, lineage: [versionKey(proven)] },
    { version: second, lineage: [versionKey(first), versionKey(proven)] },
    { version: base, lineage: [versionKey(proven)] },
  ];
  const held = [second, base, ...times(8, proven)];
  t.deepEqual(forksOf(assess(held, { proven, attempts, known: [proven] })), {
    base: versionKey(base),
    forks: [[versionKey(second), versionKey(proven)]],
  });
});

test('when no version reaches I, all tips are merged, but only after nothing has changed for a while', (t) => {
  const four = quorumsOf({ sharesNeeded: 1, sharesHappy: 1, sharesTotal: 4 });
  const five = quorumsOf({ sharesNeeded: 1, sharesHappy: 1, sharesTotal: 5 });
  const tips = [1, 2, 3, 4, 5].map((name) => version(2, name));
  const memory: SlotMemory = { proven: undefined, attempts: [] };
  const settled = { ...memory, isSettled: true };
  t.is(assessSlot(mapOf(tips.slice(0, 4), 1), memory, four, readKey).kind, 'unsettled');
  const merged = assessSlot(mapOf(tips.slice(0, 4), 1), settled, four, readKey);
  t.deepEqual(forksOf(merged), {
    base: versionKey(tips[3]!),
    forks: [2, 1, 0].map((index) => [versionKey(tips[index]!), undefined] as const),
  });
  t.like(baseOf(merged), { usable: 4 });
  t.is(assessSlot(mapOf(tips, 1), memory, five, readKey).kind, 'unsettled');
  t.like(assessSlot(mapOf(tips, 1), settled, five, readKey), { kind: 'base' });
});

test('tips whose union does not reach I are not enough even after the wait: another proven version may exist', (t) => {
  // 10 shares, four of them readable, the others unreadable half-publishes
  const tip = version(2, 1);
  const dead = [2, 3, 4].map((name) => version(2, name));
  const held = [...times(3, tip), ...times(3, dead[0]), ...times(2, dead[1]), ...times(2, dead[2])];
  const readable = assess(held, { proven: undefined, attempts: [], isSettled: true });
  t.like(readable, { kind: 'base' });
  const none = assess(
    [2, 3, 4, 5, 6].flatMap((name) => times(2, version(2, name))),
    { proven: undefined, attempts: [], isSettled: true },
  );
  t.is(none.kind, 'unavailable');
});

test('unreadable half-publishes block until they have stood still, and then only those that nobody can complete', (t) => {
  const old = version(1, 1);
  const dead = version(2, 2, old);
  // two each of two versions that cannot be read: six registers are left, seven are needed
  const held = [...times(6, old), ...times(2, dead), ...times(2, version(2, 3, old))];
  const memory: SlotMemory = { proven: old, attempts: [] };
  t.is(assess(held, memory).kind, 'unsettled');
  t.like(baseOf(assess(held, { ...memory, isSettled: true })), { base: versionKey(old), usable: 10 });
  // with three silent servers an unreadable version may stand on a quorum
  const partly = [...times(5, old), ...times(2, dead), ...times(3, undefined)];
  t.is(assess(partly, { ...memory, isSettled: false }).kind, 'unsettled');
  t.like(baseOf(assess(partly, { ...memory, isSettled: true })), { base: versionKey(old), usable: 7 });
  const hidden = quorumsOf({ sharesNeeded: 3, sharesHappy: 3, sharesTotal: 4 });
  const [a, b] = [version(1, 7), version(2, 8)];
  t.is(assessSlot(mapOf([a, a, b, undefined]), { ...memory, isSettled: true }, hidden, readKey).kind, 'unavailable');
});

test('damaged shares are replaced after the wait if the rest is too few', (t) => {
  const old = version(1, 1);
  const held: Held[] = [...times(6, old), ...times(4, 'damaged')];
  const memory: SlotMemory = { proven: old, attempts: [] };
  t.is(assess(held, memory).kind, 'unsettled');
  t.like(baseOf(assess(held, { ...memory, isSettled: true })), { usable: 10 });
});

test('older registers are left alone while no version is known to be proven, until they have stood still', (t) => {
  // too few for a proof: nobody can tell whether the older one is somebody's first share of something
  const base = version(3, 1);
  const older = version(2, 2);
  const held = [...times(6, base), ...times(2, older), ...times(2, 'damaged')] as Held[];
  t.is(assess(held).kind, 'unsettled');
  t.like(baseOf(assess(held, { ...nothing, isSettled: true })), { base: versionKey(base), usable: 8 });
});

test('the first attempt at a new slot is built on wherever it landed: nobody else knows the slot', (t) => {
  const own = version(1, 1);
  const memory: SlotMemory = { proven: undefined, attempts: [{ version: own, lineage: [] }] };
  t.is(assess([own, ...times(9, null)], memory).kind, 'unavailable');
  t.like(baseOf(assess([own, ...times(9, null)], { ...memory, isUnborn: true })), {
    base: versionKey(own),
    usable: 10,
  });
});

test('servers without a share of what everybody can read are written first, of them those with the newest', (t) => {
  const old = version(1, 1);
  const own = version(2, 2, old);
  const memory: SlotMemory = { proven: old, attempts: [{ version: own, lineage: [versionKey(old)] }] };
  const found = assess([...times(6, old), own, own, ...times(2, version(0, 9))], memory);
  if (found.kind !== 'base') return t.fail(found.kind);
  t.deepEqual(
    found.usable.map(({ nickname }) => nickname),
    ['s6', 's7', 's8', 's9', 's0', 's1', 's2', 's3', 's4', 's5'],
  );
  t.is(found.kept, versionKey(old));
});

test('what stands on W stays readable, else the base, else what it was built on; without any the newest goes first', (t) => {
  const old = version(1, 1);
  const own = version(2, 2, old);
  const memory: SlotMemory = { proven: undefined, attempts: [{ version: own, lineage: [versionKey(old)] }] };
  const keptOf = (held: readonly Held[]) => {
    const found = assess(held, memory);
    return found.kind === 'base' ? { kept: found.kept, first: found.usable[0]!.nickname } : found.kind;
  };
  t.deepEqual(keptOf([...times(7, old), ...times(3, own)]), { kept: versionKey(old), first: 's7' });
  t.deepEqual(keptOf([...times(6, old), ...times(4, own)]), { kept: versionKey(own), first: 's0' });
  t.deepEqual(keptOf([...times(6, old), ...times(2, own), ...times(2, undefined)]), {
    kept: versionKey(old),
    first: 's6',
  });
  const [a, b] = [version(0, 8), version(0, 9)];
  const rests = [...times(2, old), ...times(2, a), ...times(2, b), ...times(2, own), ...times(2, null)];
  const found = assess(rests, { ...memory, isSettled: true });
  if (found.kind !== 'base') return t.fail(found.kind);
  t.is(found.kept, undefined);
  t.deepEqual(
    found.usable.slice(0, 3).map(({ nickname }) => nickname),
    ['s6', 's7', 's0'],
  );
});

test('what was seen on a write quorum is proven, whoever published it', (t) => {
  const seen = version(4, 1);
  const found = assess([...times(7, seen), ...times(3, version(2, 9))]);
  t.like(found, { kind: 'base', proven: { sequenceNumber: 4 } });
  t.like(baseOf(found), { usable: 10 });
});

test('an old version that is known to be contained in the proven one is no fork', (t) => {
  const ancient = version(1, 1);
  const proven = version(9, 2, version(8, 3));
  const found = assess([...times(7, proven), ...times(3, ancient)], { proven, attempts: [] });
  t.deepEqual(baseOf(found), { base: versionKey(proven), usable: 10, highest: 9 });
});

test('what contains the proven version has all older registers in its family', (t) => {
  const proven = version(5, 1);
  const own = version(6, 2, proven);
  const memory: SlotMemory = { proven, attempts: [{ version: own, lineage: [versionKey(proven)] }] };
  // one share of the attempt, nothing else of the family but registers that were never brought up
  const held = [own, ...times(2, proven), ...times(4, version(2, 7)), ...times(3, undefined)];
  t.deepEqual(baseOf(assess(held, memory)), { base: versionKey(own), usable: 7, highest: 6 });
});

test('less than what was proven is rolled back, also if it is on all servers, and noticed after the wait', (t) => {
  const memory: SlotMemory = { proven: version(4, 2), attempts: [] };
  const held = times(10, version(3, 1));
  t.like(assess(held, memory), { kind: 'unsettled', isRolledBack: true });
  t.is(assess(held, { ...memory, isSettled: true }).kind, 'rolled-back');
});

test('a rolled-back slot is brought back from what this node remembers, above all that was ever seen', (t) => {
  const proven = version(4, 2);
  const memory: SlotMemory = { proven, attempts: [], known: [proven], isSettled: true };
  const found = assess([...times(5, version(3, 1)), ...times(5, version(2, 1))], memory);
  t.like(found, { kind: 'base', isRolledBack: true });
  t.like(baseOf(found), { base: versionKey(proven), usable: 10, highest: 4 });
  t.like(assess(times(10, null), memory), { kind: 'base', isRolledBack: true });
  // never while something newer stands that nobody can read
  t.is(assess([...times(2, version(5, 7)), ...times(8, version(3, 1))], memory).kind, 'unavailable');
});

test('another version with the sequence number of the proven one is merged, not taken for a rollback', (t) => {
  const proven = version(4, 2);
  const other = version(4, 1);
  const found = assess([...times(7, proven), ...times(3, other)], { proven, attempts: [] });
  t.deepEqual(forksOf(found), { base: versionKey(proven), forks: [[versionKey(other), undefined]] });
});

test('no version on enough registers to meet every write quorum: wait', (t) => {
  const held = [1, 2, 3, 4, 5].flatMap((name) => times(2, version(2, name)));
  t.is(assess(held).kind, 'unavailable');
});

test('the new sequence number is above everything ever seen, unreadable versions and own attempts included', (t) => {
  const old = version(1, 1);
  const memory: SlotMemory = { proven: old, attempts: [{ version: version(7, 3, old), lineage: [versionKey(old)] }] };
  t.like(baseOf(assess([version(5, 9), ...times(9, old)], memory)), { highest: 7 });
  t.like(baseOf(assess([version(8, 9), ...times(9, old)], memory)), { highest: 8 });
});
