import test from 'ava';
import { ed25519Sign } from '../../../src/crypto/ed25519.js';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import { decodeLatin1, encodeAscii } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { decodeArguments } from '../../../src/foolscap/pb-message.js';
import type { PbValue } from '../../../src/foolscap/pb-value.js';
import { ConnectionReferences } from '../../../src/foolscap/reference-table.js';
import {
  announcementFromPb,
  announcementToPb,
  type SignedAnnouncement,
  signAnnouncement,
  verifyAnnouncement,
} from '../../../src/introducer/announcement.js';
import { capturedSequences } from '../../support/captured-exchange.js';

const ZERO_SEED = new Uint8Array(32);
const KEY = 'v0-hnvcppgow2sc2yvdvdicu3ynonsteflxdxrehjr2ybekdc2z3iuq';
const SIGNATURE =
  'v0-dklfyf23ikm6efehiucbjvw2hj2x4p3po3ubn7zyfng5c2wkvy3l5i2ekmo3oovxiybdn23twfwsjfc3ea2dqjg3dpk3tkjlsxmcoci';

function recorded(): PbValue {
  const table = new ConnectionReferences({
    peerTubId: '62po3w35vn3bvufdeqgzvvyjlhim6aar',
    furlOf: () => undefined,
    callRemote: () => Promise.resolve(null),
    sendRemote: () => undefined,
  });
  return decodeArguments(capturedSequences('to-introducer')[3]!, table).positional[0]!;
}

test('the recorded announcement is signed by the key of 32 zero bytes, as the specification says', (t) => {
  const signed = announcementFromPb(recorded());
  t.is(decodeLatin1(signed.signature), SIGNATURE);
  const announcement = verifyAnnouncement(signed);
  t.is(String(announcement.serverId), KEY);
  t.is(announcement.serviceName, 'storage');
  t.like(announcement.fields, { nickname: 'nické', seqnum: 1, nonce: 'nonce0' });
  t.deepEqual(announcementToPb(signed), recorded());
});

test('what we sign is verified, and names our key', (t) => {
  const fields = { 'service-name': 'storage', seqnum: 3, nickname: 'Ünïcödé', future: { list: [1, null] } };
  const signed = signAnnouncement(fields, ZERO_SEED);
  t.deepEqual(verifyAnnouncement(signed), { serverId: KEY as never, serviceName: 'storage', fields });
});

const signed = signAnnouncement({ 'service-name': 'storage', seqnum: 3 }, ZERO_SEED);
/** Rightly signed, whatever it is. */
const signedBytes = (message: Uint8Array): SignedAnnouncement => ({
  message,
  signature: encodeAscii(`v0-${encodeBase32(ed25519Sign(ZERO_SEED, message))}`),
  key: signed.key,
});

const WRONG: readonly (readonly [string, SignedAnnouncement])[] = [
  ['another message', { ...signed, message: encodeAscii('{"service-name":"storage","seqnum":4}') }],
  ['another key', { ...signed, key: signAnnouncement({}, new Uint8Array(32).fill(1)).key }],
  ['a key of another version', { ...signed, key: encodeAscii(KEY.replace('v0', 'v1')) }],
  ['a short key', { ...signed, key: encodeAscii(KEY.slice(0, -5)) }],
  [
    'a key with stray bits, which would make two servers of one',
    { ...signed, key: encodeAscii(`${KEY.slice(0, -1)}r`) },
  ],
  ['no signature', { ...signed, signature: new Uint8Array() }],
  ['a short signature', { ...signed, signature: encodeAscii(SIGNATURE.slice(0, -10)) }],
  ['a message beyond the limit', signAnnouncement({ 'service-name': 'storage', x: 'y'.repeat(65_536) }, ZERO_SEED)],
  ['no service', signAnnouncement({ seqnum: 1 }, ZERO_SEED)],
  ['a service that is no text', signAnnouncement({ 'service-name': 5 }, ZERO_SEED)],
  ['a text instead of JSON', signedBytes(encodeAscii('not json'))],
  ['bytes that are no text', signedBytes(Uint8Array.of(0xff))],
  ['JSON that is no object', signedBytes(encodeAscii('["service-name"]'))],
];

for (const [what, announcement] of WRONG) {
  test(`kind protocol: ${what}`, (t) => {
    t.true(
      isTahoeError(
        t.throws(() => verifyAnnouncement(announcement)),
        'protocol',
      ),
    );
  });
}

test('nesting beyond the limit is refused although the signature is right', (t) => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 40; depth++) deep = [deep];
  const error = t.throws(() => verifyAnnouncement(signAnnouncement({ 'service-name': 'storage', deep }, ZERO_SEED)));
  t.true(isTahoeError(error, 'protocol'));
  t.regex(error?.message ?? '', /nested/);
});

test('only three byte strings are an announcement', (t) => {
  const bytes = new Uint8Array(1);
  const wrong: readonly (PbValue | undefined)[] = [
    undefined,
    null,
    5,
    bytes,
    { type: 'tuple', items: [bytes, bytes] },
    { type: 'tuple', items: [bytes, bytes, bytes, bytes] },
    { type: 'tuple', items: [bytes, bytes, 'text'] },
    { type: 'dict', entries: [] },
  ];
  for (const value of wrong)
    t.true(
      isTahoeError(
        t.throws(() => announcementFromPb(value)),
        'protocol',
      ),
    );
});
