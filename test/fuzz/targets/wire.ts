/** What travels between clients and storage servers over HTTPS. */
import { CborMap, CborSet, decodeCbor, encodeCbor } from '../../../src/storage-protocol/cbor.js';
import {
  acceptsCbor,
  parseContentRange,
  parseRange,
  parseSecrets,
  serializeAuthorization,
  serializeSecret,
} from '../../../src/storage-protocol/http-headers.js';
import * as messages from '../../../src/storage-protocol/messages.js';
import { parseNurl, serializeNurl } from '../../../src/storage-protocol/nurl.js';
import { matchRoute } from '../../../src/storage-server/http-router.js';
import { pickHeaders } from '../../../src/storage-server/request-headers.js';
import { cborItems } from '../cbor-structure.js';
import { type FuzzTarget, latin1Of, texts } from '../fuzz-target.js';
import { lines } from '../structure.js';

const bytes = (length: number) => new Uint8Array(length).fill(7);

const specimens = {
  version: messages.encodeVersion({
    applicationVersion: 'tahoe-lafs/1.20.0',
    availableSpace: 10 ** 12,
    maximumImmutableShareSize: 10 ** 12,
    maximumMutableShareSize: Number.MAX_SAFE_INTEGER,
  }),
  allocateRequest: messages.encodeAllocateRequest({ shareNumbers: new Set([0, 3, 255]), allocatedSize: 123_456 }),
  allocation: messages.encodeAllocation({ alreadyHave: new Set([1]), allocated: new Set([0, 3, 255]) }),
  missingRanges: messages.encodeMissingRanges([
    { offset: 0, length: 100 },
    { offset: 70_000, length: 1 },
  ]),
  shareNumbers: messages.encodeShareNumbers(new Set([0, 24, 255])),
  corruptionReport: messages.encodeCorruptionReport('corruption in share 3: a wrong hash'),
  readTestWriteRequest: messages.encodeReadTestWriteRequest({
    shares: new Map([
      [
        0,
        {
          tests: [{ offset: 0, size: 57, specimen: bytes(57) }],
          writes: [{ offset: 0, data: bytes(300) }],
          newLength: 300,
        },
      ],
      [7, { tests: [{ offset: 0, size: 1, specimen: bytes(0) }], writes: [], newLength: null }],
    ]),
    readVector: [
      { offset: 0, length: 8192 },
      { offset: 75, length: 32 },
    ],
  }),
  readTestWriteResult: messages.encodeReadTestWriteResult({
    applied: true,
    reads: new Map([
      [0, [bytes(200), bytes(0)]],
      [9, [bytes(3), bytes(30)]],
    ]),
  }),
};

const everything = encodeCbor(
  new CborMap([
    ['text', 'h\u00e9llo'],
    [7, [0, 23, 24, 255, 256, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER]],
    [bytes(3), new CborSet([1, 'two', bytes(2)])],
    ['nothing', null],
    ['yes', true],
    ['no', false],
    ['nested', [[[[]]]]],
  ]),
);

function message(name: string, specimen: Uint8Array, parse: (input: Uint8Array) => unknown): FuzzTarget {
  const corpus = () => [specimen, ...Object.values(specimens)];
  return { name: `cbor-${name}`, corpus, structure: cborItems, refusals: ['protocol'], parse };
}

/** What the decoder accepts can be encoded and is then the same. */
function parseCbor(input: Uint8Array): void {
  const value = decodeCbor(input);
  const again = encodeCbor(value);
  if (Buffer.compare(encodeCbor(decodeCbor(again)), again) !== 0) throw new Error('decoded otherwise the second time');
}

const secretNames = ['lease-renew-secret', 'lease-cancel-secret', 'upload-secret', 'write-enabler'] as const;

const requestHead = [
  'PATCH /storage/v1/immutable/aaaqeayeaudaocajbifqydiob4/3?x=1',
  `Authorization: ${serializeAuthorization('mwvuamw2ysqhdk6ixpqa')}`,
  `X-Tahoe-Authorization: ${serializeSecret('upload-secret', bytes(20))}`,
  `X-Tahoe-Authorization: ${serializeSecret('lease-renew-secret', bytes(32))}`,
  `X-Tahoe-Authorization: ${serializeSecret('lease-cancel-secret', bytes(32))}`,
  'Content-Range: bytes 0-1023/*',
  'Range: bytes=0-1023',
  'Accept: application/cbor;q=0.9, */*;q=0.1',
  'Content-Type: application/cbor; charset=x',
].join('\n');

const requestPaths = [
  'version',
  'lease/aaaqeayeaudaocajbifqydiob4',
  'mutable/aaaqeayeaudaocajbifqydiob4/read-test-write',
];

/** All that the server makes of the head of a request. */
function parseRequestHead(input: Uint8Array): void {
  const [first = '', ...rest] = latin1Of(input).split('\n');
  const space = first.indexOf(' ');
  matchRoute(first.slice(0, space), first.slice(space + 1));
  const headers = pickHeaders(
    rest.flatMap((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  for (const range of [parseRange(headers.range ?? ''), parseContentRange(headers.contentRange ?? '')]) {
    if (range === undefined) continue;
    const isSound =
      Number.isSafeInteger(range.offset) && Number.isSafeInteger(range.offset + range.length) && range.length > 0;
    if (!isSound) throw new Error(`range ${range.offset} ${range.length}`);
  }
  acceptsCbor(headers.accept);
  parseSecrets(headers.secrets, secretNames.slice(0, headers.secrets.length));
}

const nurls = texts(
  'pb://1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ868ds@203.0.113.7:3456/mwvuamw2ysqhdk6ixpqa#v=1',
  'pb+tor://1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ868ds@[2001:db8::1]:80/swiss.num#v=1',
);

export const wireTargets: readonly FuzzTarget[] = [
  {
    name: 'cbor',
    corpus: () => [everything, ...Object.values(specimens)],
    structure: cborItems,
    refusals: ['protocol'],
    parse: parseCbor,
  },
  message('version', specimens.version, messages.decodeVersion),
  message('allocate-request', specimens.allocateRequest, messages.decodeAllocateRequest),
  message('allocation', specimens.allocation, messages.decodeAllocation),
  message('missing-ranges', specimens.missingRanges, messages.decodeMissingRanges),
  message('share-numbers', specimens.shareNumbers, messages.decodeShareNumbers),
  message('corruption-report', specimens.corruptionReport, messages.decodeCorruptionReport),
  message('read-test-write-request', specimens.readTestWriteRequest, messages.decodeReadTestWriteRequest),
  message('read-test-write-result', specimens.readTestWriteResult, messages.decodeReadTestWriteResult),
  {
    name: 'http-request-head',
    corpus: () => texts(requestHead, ...requestPaths.map((path) => `GET /storage/v1/${path}`)),
    structure: lines,
    // node refuses longer heads itself
    bytesMax: 16 * 1024,
    words: ['bytes', 'q=', 'application/cbor', '/storage/v1/', 'upload-secret ', '==', '  ', ', '],
    refusals: ['invalid'],
    parse: parseRequestHead,
  },
  {
    name: 'nurl',
    corpus: () => nurls,
    words: ['pb://', 'pb+tor://', '#v=1', '@[', ']:', '%'],
    refusals: ['invalid'],
    parse(input) {
      const nurl = parseNurl(latin1Of(input));
      if (JSON.stringify(parseNurl(serializeNurl(nurl))) !== JSON.stringify(nurl))
        throw new Error('not the same again');
    },
  },
];
