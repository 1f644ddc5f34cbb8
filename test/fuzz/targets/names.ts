/** Capabilities, directories and what stands in them. */

import { encodeAttributes } from '../../../mount/reply.js';
import { encodeAttributes as encodeSftpAttributes, sftpAttributes } from '../../../sftp/attributes.js';
import { longName } from '../../../sftp/long-name.js';
import { PacketWriter } from '../../../sftp/packet-writer.js';
import {
  parseCap,
  parseKnownCap,
  readCapOf,
  serializeCap,
  storageIndexOf,
  verifyCapOf,
} from '../../../src/caps/cap.js';
import { childCapOf, childSlotsOf, diminishChild } from '../../../src/caps/child-caps.js';
import { isNoWrite, linkTimes, parseMetadata, updateMetadata } from '../../../src/dirnode/metadata.js';
import { formatJson, fromPlainJson, parseJson, toPlainJson } from '../../../src/dirnode/metadata-json.js';
import { packDirectory, parseDirectory } from '../../../src/dirnode/packing.js';
import { fromHex } from '../../../src/encoding/bytes.js';
import { asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { applyEntry, readEntry, writeEntry } from '../../../src/vfs/entry-codec.js';
import { Inode } from '../../../src/vfs/inode.js';
import type { InodeNumber } from '../../../src/vfs/vfs.js';
import { fromBase64, readVector, readVectorJson } from '../../support/golden-vectors.js';
import { type FuzzTarget, textOf, texts } from '../fuzz-target.js';
import { netstrings } from '../structure.js';
import { unlessRefused } from '../target-support.js';

const key = 'aaaqeayeaudaocajbifqydiob4';
const hash = 'aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq';

const caps = [
  'URI:LIT:mfrgg',
  'URI:DIR2-LIT:mfrgg',
  ...['CHK', 'CHK-Verifier', 'DIR2-CHK', 'DIR2-CHK-Verifier'].map((name) => `URI:${name}:${key}:${hash}:3:10:1000`),
  ...['SSK', 'SSK-RO', 'SSK-Verifier', 'MDMF', 'MDMF-RO', 'MDMF-Verifier', 'DIR2', 'DIR2-RO', 'DIR2-Verifier'].map(
    (name) => `URI:${name}:${key}:${hash}`,
  ),
  ...['DIR2-MDMF', 'DIR2-MDMF-RO', 'DIR2-MDMF-Verifier'].map((name) => `URI:${name}:${key}:${hash}:3:131073`),
  `ro.URI:SSK-RO:${key}:${hash}`,
  `imm.URI:CHK:${key}:${hash}:3:10:1000`,
  'x-tahoe-future-test-writeable:abc',
  'x-tahoe-future-test-mutable:abc',
  'ro.some-later-kind:of capability',
];

const capWords = ['URI:', 'ro.', 'imm.', 'DIR2-', 'CHK-Verifier', 'MDMF', 'SSK-RO', 'LIT', ':', '\n', key, hash];

/** Known or unknown, the text stays what it is, and everything that follows from it can be had. */
function parseAnyCap(input: Uint8Array): void {
  const text = textOf(input);
  for (const deepImmutable of [false, true]) {
    const cap = parseCap(text, { deepImmutable });
    const again = parseCap(serializeCap(cap), { deepImmutable });
    if (serializeCap(again) !== serializeCap(cap)) throw new Error('not the same again');
    readCapOf(cap);
    verifyCapOf(cap);
    storageIndexOf(cap);
  }
  parseKnownCap(text);
}

function parseChild(input: Uint8Array): void {
  const [writeCap, readCap] = textOf(input).split('\u0000');
  for (const deepImmutable of [false, true]) {
    const child = childCapOf({ writeCap, readCap }, { deepImmutable });
    for (const each of [child, diminishChild(child)]) {
      const slots = unlessRefused(() => childSlotsOf(each, { deepImmutable }), 'bad-cap');
      if (slots !== undefined) childCapOf(slots, { deepImmutable });
    }
  }
}

interface GoldenDirectory {
  readonly writekey: string;
  readonly contents_b64: string;
}

const golden = readVectorJson<GoldenDirectory>('mutable/directory.json');
const writeKey = asWriteKey(fromHex(golden.writekey));
const stamp = { nowSeconds: 1_700_000_000.5, changeId: new Uint8Array(8), node: 'node' };
const ownerNames = { user: () => undefined, group: () => undefined };
const cacheTimeouts = { entryMs: 1000, attributesMs: 1000 };

/** The table, its entries, and what the frontends tell their clients of them. */
function parseWholeDirectory(input: Uint8Array): void {
  unlessRefused(() => parseDirectory(input, { deepImmutable: true }), 'corrupt');
  const entries = parseDirectory(input, { deepImmutable: false });
  packDirectory(entries.values());
  for (const entry of [...entries.values()].slice(0, 30)) {
    const facts = unlessRefused(() => readEntry(entry, writeKey, false), 'corrupt');
    if (facts !== undefined) useEntry(entry.name, facts);
  }
}

function useEntry(name: string, facts: ReturnType<typeof readEntry>): void {
  const inode = new Inode(5 as InodeNumber, facts.kind);
  applyEntry(inode, facts, { uid: 1, gid: 1 });
  if (facts.child.type === 'unknown' || facts.child.type === 'broken') inode.other = facts.child;
  const { kind, mode, uid, gid, rdev, accessed, modified, changed } = inode;
  const attributes = {
    inode: inode.number,
    kind,
    mode,
    uid,
    gid,
    links: 1,
    sizeBytes: 0,
    rdev,
    accessed,
    modified,
    changed,
  };
  encodeAttributes(1, attributes, cacheTimeouts);
  longName(name, attributes, ownerNames, 1_700_000_000_000);
  encodeSftpAttributes(new PacketWriter(105), sftpAttributes(attributes));
  unlessRefused(
    () => writeEntry(inode, name, { type: 'lit', data: new Uint8Array(3) }, writeKey, stamp),
    'bad-cap',
    'invalid',
  );
}

const tables = () => [
  fromBase64(golden.contents_b64),
  ...['mixed', 'imm', 'mdmf', 'sub'].map((name) => readVector(`directories/dir-${name}.packed.bin`)),
];

const metadata = [
  '{"tahoe": {"linkcrtime": 1425680000.5, "linkmotime": 1.7e9}, "ctime": 1, "mtime": NaN, "no-write": true}',
  '{"unix": {"mode": 420, "uid": 0, "gid": 0, "mtime": [1700000000, 999999999], "ino": 77, "id": "00ff", "kind": "symlink", ' +
    '"target": "../x", "rdev": 1, "name": "e\\u0301", "xattrs": {"user.a": "AAEC"}}, "x": [1.0, 1e+16, 12345678901234567890]}',
  '{"a": [null, true, false, -Infinity, Infinity, "\\ud83d\\ude00", ""], "b": {"c": {"d": {}}}}',
];

function parseAnyMetadata(input: Uint8Array): void {
  const parsed = parseMetadata(input);
  if (parsed !== undefined) {
    isNoWrite(parsed);
    linkTimes(parsed);
    formatJson(updateMetadata(parsed, undefined, 1));
  }
  const value = parseJson(input);
  const text = formatJson(value);
  if (Buffer.compare(formatJson(parseJson(text)), text) !== 0) throw new Error('not the same again');
  fromPlainJson(JSON.parse(JSON.stringify(toPlainJson(value))));
}

export const nameTargets: readonly FuzzTarget[] = [
  {
    name: 'caps',
    corpus: () => texts(...caps),
    words: capWords,
    refusals: ['bad-cap', 'unknown-cap'],
    parse: parseAnyCap,
  },
  {
    name: 'child-caps',
    corpus: () => texts(...caps.map((cap, index) => `${cap}\u0000${caps[(index + 3) % caps.length]}`), ...caps),
    words: [...capWords, '\u0000'],
    refusals: [],
    parse: parseChild,
  },
  {
    name: 'directory',
    corpus: tables,
    structure: netstrings,
    words: [...capWords, ...metadata, '"mtime": NaN', '1e400', '{"unix": {"mtime": [1e308, 5]}}'],
    bytesMax: 16 * 1024,
    refusals: ['corrupt'],
    parse: parseWholeDirectory,
  },
  {
    name: 'metadata-json',
    corpus: () => texts(...metadata),
    words: ['NaN', '-Infinity', '1e400', '\\u', '\\ud800', '[', '{', '":', '"__proto__": 1, ', '[[[[[[[['],
    refusals: ['corrupt'],
    parse: parseAnyMetadata,
  },
];
