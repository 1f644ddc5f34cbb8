/** Inputs of one piece repeated up to what a parser may be given: time and memory stay in proportion. */
import test from 'ava';
import { parseAccounts } from '../../sftp/accounts.js';
import { parseCap } from '../../src/caps/cap.js';
import { parseMetadata } from '../../src/dirnode/metadata.js';
import { parseDirectory } from '../../src/dirnode/packing.js';
import { parseYaml } from '../../src/encoding/yaml-text.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import { BananaDecoder } from '../../src/foolscap/banana-tree.js';
import { CLIENT_LIMITS } from '../../src/introducer/introducer-protocol.js';
import { parseTahoeConfig } from '../../src/node/tahoe-config.js';
import { decodeCbor } from '../../src/storage-protocol/cbor.js';
import { acceptsCbor, parseRange } from '../../src/storage-protocol/http-headers.js';
import { parseNurl } from '../../src/storage-protocol/nurl.js';
import { parseRange as parseWebRange } from '../../src/web/byte-range.js';

const MEGABYTE = 1 << 20;
/** Several times what a busy machine needs for one that is in proportion. */
const LIMIT_MS = 10_000;

const text = (piece: string, length: number) => piece.repeat(Math.ceil(length / piece.length));
const bytes = (piece: string, length: number) => new Uint8Array(Buffer.from(text(piece, length), 'latin1'));

function decodeBanana(stream: Uint8Array): void {
  const decoder = new BananaDecoder(CLIENT_LIMITS, { onMessage: () => undefined, onPing: () => undefined });
  decoder.push(stream);
}

const cases: Readonly<Record<string, () => unknown>> = {
  'CBOR: arrays in arrays': () => decodeCbor(bytes('\u0081', MEGABYTE)),
  'CBOR: a string of many parts': () => decodeCbor(bytes('\u0060', MEGABYTE)),
  'directory: one name': () => parseDirectory(bytes('12:0:,0:,0:,0:,,', MEGABYTE), { deepImmutable: false }),
  'directory: digits': () => parseDirectory(bytes('1', MEGABYTE), { deepImmutable: false }),
  'metadata: arrays in arrays': () => parseMetadata(bytes('[', MEGABYTE)),
  'metadata: names without values': () => parseMetadata(bytes('{"a":', MEGABYTE)),
  'metadata: a string without end': () => parseMetadata(bytes('"a', MEGABYTE)),
  'capability: key': () => parseCap(`URI:CHK:${text('a', MEGABYTE)}`),
  'capability: digits': () => parseCap(`URI:CHK:${text('a', 26)}:${text('a', 52)}:${text('1', MEGABYTE)}`),
  'NURL: host': () => parseNurl(`pb://${text('a', 43)}@${text('a', MEGABYTE)}`),
  'tahoe.cfg: spaces in a key': () => parseTahoeConfig(`[node]\na${text(' ', MEGABYTE)}b`),
  'tahoe.cfg: begun references': () => parseTahoeConfig(`[node]\nnickname = ${text('%(', MEGABYTE)}`),
  'tahoe.cfg: lines of one value': () => parseTahoeConfig(`[node]\nnickname = x\n${text(' y\n', MEGABYTE)}`),
  'YAML: lists in lists': () => parseYaml(text('- ', 16_384)),
  'YAML: keys of keys': () => parseYaml(text('? ', 16_384)),
  'YAML: brackets': () => parseYaml(text('[', 16_384)),
  'YAML: braces': () => parseYaml(text('{a: ', 16_384)),
  'Range: spaces': () => parseRange(`bytes=${text(' ', 65_536)}x`),
  'web Range: spaces': () => parseWebRange(`bytes=${text(' ', 65_536)}x`, 100),
  'Accept: commas': () => acceptsCbor(text(',', 16_384)),
  'accounts: lines': () => parseAccounts(text('# a comment\n', MEGABYTE)),
  'Banana: pings': () => decodeBanana(bytes('\u008e', MEGABYTE)),
  'Banana: digits': () => decodeBanana(bytes('\u0001', MEGABYTE)),
  'Banana: numbers': () =>
    decodeBanana(
      Buffer.concat([Buffer.from('00880482', 'hex'), bytes('list\u0001\u0081', 6), bytes('\u0001\u0081', MEGABYTE)]),
    ),
};

for (const [name, parse] of Object.entries(cases)) {
  test(`${name}, repeated`, (t) => {
    const startedMs = performance.now();
    try {
      parse();
    } catch (error) {
      t.true(isTahoeError(error, 'protocol', 'corrupt', 'invalid', 'bad-cap', 'unsupported'), String(error));
    }
    t.true(performance.now() - startedMs < LIMIT_MS);
  });
}
