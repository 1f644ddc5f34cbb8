/**
 * The client that is killed: `node kill-node.js CLIENT PRIMES OWNER`. It is `tahoe run CLIENT` but for four things. Its
 * journal has small segments, so that checkpoints come often. Keys are cheap: see kill-keys.ts. It loads its code, prints
 * `loaded` and waits, so that moments of a start are moments of its work. And it can be told to die in the middle of a
 * change of the journal's files.
 * Standard input: `start`, `die N` (in the N-th change from now), each on a line; its end is the end of the process.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startNode } from '../../src/node/node.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { DyingFileStore } from './dying-file-store.js';
import { KILL_SEGMENT_BYTES } from './kill-journal.js';
import { PairedKeys } from './kill-keys.js';

const [client = '', primes = '', owner] = process.argv.slice(2);
const files = new DyingFileStore(new NodeFileStore(), join(client, 'journal'));
const keys = await PairedKeys.open(primes, Number(owner));

async function start(): Promise<void> {
  const warn = (line: string) => process.stderr.write(`${line}\n`);
  await startNode(client, { warn, files, journalSegmentBytes: KILL_SEGMENT_BYTES, keys });
  process.stdout.write('ready\n');
}

function fail(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

createInterface(process.stdin)
  .on('line', (line) => {
    const [word, number] = line.split(' ');
    if (word === 'die') files.dieIn(Number(number));
    else start().catch(fail);
  })
  .on('close', () => process.exit(1));
process.stdout.write('loaded\n');
