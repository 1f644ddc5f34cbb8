/** The same convergence secret and the same content give the identical capability, whoever uploads. */
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { parseCap } from '../../src/caps/cap.js';
import { chkStorageIndex } from '../../src/crypto/derivations.js';
import { encodeBase32 } from '../../src/encoding/base32.js';
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

test('both makes choose the same server for a single share', async (t) => {
  const { introducer, client, servers } = await grid;
  const encoding = { needed: 1, happy: 1, total: 1 };
  const convergence = convergenceSecret.slice().reverse();
  const [python, ours] = await Promise.all([
    startPythonClient(scope, { convergence, encoding, introducer: introducer.furl, servers: 10 }),
    startOurClient(scope, { convergence, encoding, serversYaml: await client.serversYaml() }),
  ]);
  const holder = async (cap: string) => {
    const storageIndex = storageIndexOf(cap);
    for (const [number, { sharesDirectory }] of servers.entries()) {
      const held = [...(await readShares(sharesDirectory)).keys()].filter((name) => name.includes(storageIndex));
      if (held.length === 0) continue;
      await rm(join(sharesDirectory, storageIndex.slice(0, 2)), { recursive: true });
      return number;
    }
    return undefined;
  };
  const chosen = new Set<number | undefined>();
  for (let number = 0; number < 12; number++) {
    const content = pythonCapsContent(1000 + number);
    const byPython = await holder(await ask(python, 'PUT', 'uri', content));
    const byUs = await holder(await ask(ours, 'PUT', 'uri', content));
    t.is(byUs, byPython, `file ${number}`);
    chosen.add(byUs);
  }
  t.true(chosen.size > 2 && !chosen.has(undefined));
});

function storageIndexOf(cap: string): string {
  const parsed = parseCap(cap);
  if (parsed.type !== 'chk') throw new Error(`not an immutable file: ${parsed.type}`);
  return encodeBase32(chkStorageIndex(parsed.key));
}
