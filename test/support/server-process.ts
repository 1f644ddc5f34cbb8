/** The introducer and all storage servers of a grid directory in one process: `node server-process.js GRID`. Prints `ready`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { INTRODUCER_NAME } from '../../src/node/grid-directories.js';
import { startNode } from '../../src/node/node.js';

const grid = process.argv[2] ?? '';
const warn = (line: string) => process.stderr.write(`${line}\n`);
await startNode(join(grid, INTRODUCER_NAME), { warn });
const names = (await readdir(grid)).filter((name) => /^server-\d+$/.test(name));
await Promise.all(names.map((name) => startNode(join(grid, name), { warn })));
process.stdout.write('ready\n');
setInterval(() => {}, 1 << 30);
