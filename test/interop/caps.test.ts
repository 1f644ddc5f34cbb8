/** The same convergence secret and the same content give the identical capability, whoever uploads. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { parseCap } from '../../src/caps/cap.js';
import { chkStorageIndex, mutableStorageIndex, readKeyOf } from '../../src/crypto/derivations.js';
import { encodeBase32 } from '../../src/encoding/base32.js';
import type { StorageIndex } from '../../src/encoding/brands.js';
import { silentLogger } from '../../src/platform/logger.js';
import { parseServersYaml } from '../../src/storage-client/server-list.js';
import { permuteServers } from '../../src/storage-protocol/permutation.js';
import { CleanupStack } from '../support/cleanup.js';
import { loadPythonCaps, PYTHON_CAPS, pythonCapsContent } from '../support/python-caps.js';
import { startOurClient } from './support/our-client.js';
import { startPythonClient, startPythonGrid } from './support/python-grid.js';
import { pythonInterpreter } from './support/python-node.js';
import { readShares } from './support/share-files.js';
import { ask } from './support/web-api.js';

const scope = new CleanupStack();
test.after.always(() => scope.close());

test('the vectors of capabilities and shares are what the installed Python implementation makes', async (t) => {
  const script = ['test/interop/make-cap-vectors.py'];
  const { stdout } = await promisify(execFile)(pythonInterpreter(), script, { maxBuffer: 1 << 24 });
  t.is(stdout, await readFile(PYTHON_CAPS, 'utf8'));
});

/** Other k and n have no grid here: the vectors have them all. */
const LIVE = [
  { needed: 1, happy: 1, total: 1, maximumSegmentSize: 131_072 },
  { needed: 3, happy: 7, total: 10, maximumSegmentSize: 1_048_576 },
  { needed: 7, happy: 9, total: 11, maximumSegmentSize: 131_072 },
];
const { convergenceSecret, files } = loadPythonCaps();
const grid = startPythonGrid(scope, { servers: 10 });

for (const encoding of LIVE) {
  const { needed, total, maximumSegmentSize } = encoding;
  test(`running clients of both makes give the identical capability: ${needed}-of-${total}, segments of ${maximumSegmentSize}`, async (t) => {
    const { introducer, client } = await grid;
    const secrets = { convergence: convergenceSecret, encoding };
    const [python, ours] = await Promise.all([
      startPythonClient(scope, { ...secrets, introducer: introducer.furl, servers: 10 }),
      startOurClient(scope, { ...secrets, serversYaml: await client.serversYaml() }),
    ]);
    const live = files.filter(
      (file) => file.needed === needed && file.total === total && file.maximumSegmentSize === maximumSegmentSize,
    );
    t.true(live.length > 10);
    // In turns, so that each places shares that the other finds.
    for (const [number, { size, cap }] of live.entries()) {
      const content = pythonCapsContent(size);
      const clients = number % 2 === 0 ? [python, ours] : [ours, python];
      for (const one of clients) t.is(await ask(one, 'PUT', 'uri', content), cap, `${size} bytes`);
    }
  });
}

test('both makes choose the servers that come first in the order of the storage index', async (t) => {
  const { introducer, client, servers } = await grid;
  const encoding = { needed: 1, happy: 1, total: 1 };
  const yaml = await client.serversYaml();
  const [python, ours] = await Promise.all([
    startPythonClient(scope, { encoding, introducer: introducer.furl, servers: 10 }),
    startOurClient(scope, { encoding, serversYaml: yaml }),
  ]);
  const announced = parseServersYaml(yaml, silentLogger);
  for (let number = 0; number < 8; number++) {
    for (const one of [python, ours]) {
      const mutable = await ask(one, 'PUT', 'uri?format=sdmf', 'content');
      const immutable = await ask(one, 'PUT', 'uri', randomBytes(1000));
      for (const [cap, candidates] of [
        [mutable, 1],
        // Twice as many as there are shares, and any of them may get it (immutable spec 8.3).
        [immutable, 2],
      ] as const) {
        const storageIndex = storageIndexOf(cap);
        const first = permuteServers(announced, storageIndex).slice(0, candidates);
        const directory = (nickname: string) => servers[Number(nickname.split(' ').at(-1))]?.sharesDirectory ?? '';
        const held = await Promise.all(first.map(({ nickname }) => readShares(directory(nickname))));
        const names = held.flatMap((files) => [...files.keys()]);
        t.true(
          names.some((name) => name.includes(encodeBase32(storageIndex))),
          cap.slice(0, 7),
        );
      }
    }
  }
});

function storageIndexOf(cap: string): StorageIndex {
  const parsed = parseCap(cap);
  if (parsed.type === 'chk') return chkStorageIndex(parsed.key);
  if (parsed.type === 'sdmf-write') return mutableStorageIndex(readKeyOf(parsed.writeKey));
  throw new Error(`a ${parsed.type} capability`);
}
