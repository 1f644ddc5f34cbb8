import test from 'ava';
import { packEntry, parseDirectory } from '../../../src/dirnode/packing.js';
import { encodeUtf8 } from '../../../src/encoding/bytes.js';
import { asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { applyEntry, readEntry } from '../../../src/vfs/entry-codec.js';
import { Inode } from '../../../src/vfs/inode.js';
import type { InodeNumber } from '../../../src/vfs/vfs.js';

const writeKey = asWriteKey(new Uint8Array(16));

/** The inode of an entry that another program wrote with this metadata. */
function inodeOf(metadataJson: string): Inode {
  const contents = { name: 'x', readCap: 'URI:LIT:mfrgg', writeCap: '', metadataJson: encodeUtf8(metadataJson) };
  const table = packEntry(contents, writeKey).raw;
  const [entry] = parseDirectory(table, { deepImmutable: false }).values();
  const facts = readEntry(entry!, writeKey, false);
  const inode = new Inode(5 as InodeNumber, facts.kind);
  applyEntry(inode, facts, { uid: 1, gid: 2 });
  return inode;
}

test('times of other programs are taken over', (t) => {
  const { modified } = inodeOf('{"tahoe": {"linkcrtime": 1, "linkmotime": 1234567890.5}}');
  t.deepEqual(modified, { seconds: 1234567890, nanoseconds: 500_000_000 });
  t.deepEqual(inodeOf('{"unix": {"mtime": [-7, 5]}}').modified, { seconds: -7, nanoseconds: 5 });
});

test('times that no program could show are those of the epoch', (t) => {
  for (const json of [
    '{"mtime": NaN}',
    '{"mtime": -Infinity}',
    '{"tahoe": {"linkmotime": 41816383600234990000}}',
    '{"tahoe": {"linkmotime": 1e308}}',
    '{"unix": {"mtime": [9007199254740991, 0], "atime": [9000000000000, 0]}}',
    '{"unix": {"mtime": [1.5, 0], "ctime": [1, 1000000000]}}',
  ]) {
    const { modified, accessed, changed } = inodeOf(json);
    for (const time of [modified, accessed, changed]) t.deepEqual(time, { seconds: 0, nanoseconds: 0 }, json);
  }
});
