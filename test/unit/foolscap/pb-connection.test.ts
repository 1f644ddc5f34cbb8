import { Duplex } from 'node:stream';
import test from 'ava';
import fc from 'fast-check';
import { concatBytes, fromHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { BananaDecoder, BananaEncoder, type BananaSequence } from '../../../src/foolscap/banana-tree.js';
import { PbConnection } from '../../../src/foolscap/pb-connection.js';
import type { Referenceable } from '../../../src/foolscap/pb-value.js';
import { INTRODUCER_LIMITS } from '../../../src/introducer/introducer-protocol.js';
import { IntroducerService } from '../../../src/introducer/introducer-service.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import type { Clock } from '../../../src/platform/clock.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { capturedMessages, capturedSequences } from '../../support/captured-exchange.js';
import { objectOf } from '../../support/foolscap.js';
import { ManualClock } from '../../support/manual-clock.js';

/** The end of a connection whose other end is the test. */
class TestStream extends Duplex {
  readonly written: Uint8Array[] = [];

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.written.push(chunk);
    done();
  }

  answers(): BananaSequence[] {
    const messages: BananaSequence[] = [];
    const events = { onMessage: (message: BananaSequence) => messages.push(message), onPing: () => undefined };
    new BananaDecoder(INTRODUCER_LIMITS, events).push(concatBytes(this.written));
    return messages;
  }
}

function connectionWith(object: Referenceable, clock: Clock = new NodeClock()) {
  const stream = new TestStream();
  const connection = new PbConnection({
    stream,
    peerTubId: '62po3w35vn3bvufdeqgzvvyjlhim6aar',
    peerAddress: 'test',
    limits: INTRODUCER_LIMITS,
    lookUp: (name) => (name === 'introswissnum' ? object : undefined),
    furlOf: () => undefined,
    keepaliveMs: 1_000_000,
    clock,
    log: silentLogger,
  });
  return { stream, connection };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const newService = () => new IntroducerService({ version: 'test/1', clock: new NodeClock(), log: silentLogger });
const recorded = () => capturedMessages('to-introducer').map(({ hex }) => fromHex(hex));

test('our introducer answers the recorded requests of a real client as the real one did', async (t) => {
  const service = newService();
  const { stream, connection } = connectionWith(service);
  for (const message of recorded().slice(0, 5)) {
    stream.push(message);
    await settled();
  }
  await settled();
  const answers = stream.answers();
  const [announced] = answers.filter(({ name }) => name === 'call');
  const [, , , , theirs] = capturedSequences('to-client');
  t.deepEqual(announced?.items[3] && JSON.stringify(itemsOf(announced)), JSON.stringify(itemsOf(theirs!)));
  t.deepEqual(
    answers.filter(({ name }) => name === 'answer').map(({ items }) => items[0]),
    [1, 2, 3, 4, 5],
  );
  t.like(service.subscribers(), [{ nickname: 'nické', version: 'tahoe-lafs/x', serviceName: 'storage' }]);
  connection.close('done');
  t.is(service.subscribers().length, 0);
});

/** The announcement in a call of `announce_v2`, without the numbers of its sequences. */
function itemsOf(call: BananaSequence): unknown {
  const [count, set] = (call.items[3] as BananaSequence).items;
  const [tuple] = (set as BananaSequence).items;
  return [count, (set as BananaSequence).name, (tuple as BananaSequence).items.map(String)];
}

test('whatever a client sends, the introducer answers or closes, and lives on', async (t) => {
  const all = concatBytes(recorded());
  const change = fc.tuple(fc.nat(all.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 6 }), fc.nat(all.length), async (changes, cut) => {
      const service = newService();
      const { stream, connection } = connectionWith(service);
      const copy = all.slice();
      for (const [position, byte] of changes) copy[position] = byte;
      stream.push(copy.subarray(0, cut));
      await settled();
      stream.push(copy.subarray(cut));
      await settled();
      t.true(service.subscribers().length <= 1);
      if (changes.length === 0) t.false(connection.peer.ended.aborted);
      connection.close('done');
    }),
    { numRuns: 500 },
  );
});

test('a call that cannot be understood fails alone, and an answer nobody waits for is nothing', async (t) => {
  const { stream, connection } = connectionWith(objectOf(() => 'fine'));
  const encoder = new BananaEncoder();
  const send = (message: BananaSequence) => stream.push(encoder.encode(message));
  const [lookUp] = capturedSequences('to-introducer');
  send(lookUp!);
  await settled();
  const callOf = (requestId: number, clid: number, ...args: BananaSequence['items']): BananaSequence => ({
    name: 'call',
    items: [requestId, clid, new TextEncoder().encode('m'), { name: 'arguments', items: args }],
  });
  send(callOf(2, 9, 0));
  send(callOf(3, 1, 1, { name: 'instance', items: [] }));
  send(callOf(4, 1, 7));
  send(callOf(0, 9, 0));
  send({ name: 'answer', items: [77, 1] });
  send(callOf(5, 1, 0));
  await settled();
  t.deepEqual(
    stream.answers().map(({ name, items }) => [name, items[0]]),
    [
      ['answer', 1],
      ['error', 2],
      ['error', 3],
      ['error', 4],
      ['answer', 5],
    ],
  );
  t.false(connection.peer.ended.aborted);
  send({ name: 'set-vocab', items: [] });
  await settled();
  t.true(connection.peer.ended.aborted, 'but no other messages than calls and answers');
});

test('a call without an answer is given up after two minutes, and the connection stays', async (t) => {
  const clock = new ManualClock();
  const { connection } = connectionWith(
    objectOf(() => null),
    clock,
  );
  const call = connection.referenceByName('x');
  clock.advance(120_000);
  t.true(isTahoeError(await t.throwsAsync(call), 'timeout'));
  t.false(connection.peer.ended.aborted);
  connection.close('done');
  await t.throwsAsync(connection.referenceByName('x'), { message: 'done' });
});
