/** The grids of the matrix: servers of either make or of both, an introducer of either, a client of each. One at a time. */
import { CleanupStack } from '../../support/cleanup.js';
import { type OurClient, startOurClient } from './our-client.js';
import { startOurIntroducer } from './our-introducer.js';
import { startOurServers } from './our-servers.js';
import { type PythonClient, startPythonClient, startPythonIntroducer, startPythonServers } from './python-grid.js';

/** How many servers of each make. */
const SERVER_SETS = {
  'Python servers': { python: 10, ours: 0 },
  'our servers': { python: 0, ours: 10 },
  'five servers of each': { python: 5, ours: 5 },
} as const;
const INTRODUCERS = ['a Python introducer', 'our introducer'] as const;

export const SERVERS = 10;
/** Small segments, so that small files have several. */
export const SEGMENT_BYTES = 131_072;

export interface GridKind {
  readonly servers: keyof typeof SERVER_SETS;
  readonly introducer: (typeof INTRODUCERS)[number];
}

export const GRID_KINDS: readonly GridKind[] = (Object.keys(SERVER_SETS) as GridKind['servers'][]).flatMap((servers) =>
  INTRODUCERS.map((introducer) => ({ servers, introducer })),
);

export interface MatrixGrid {
  /** FURL of the introducer, for more nodes. */
  readonly introducer: string;
  readonly python: PythonClient;
  readonly ours: OurClient;
}

/** Whoever asks for another grid than the last one stops that one first: two need more memory than a test may take. */
export class MatrixGrids {
  #kind: GridKind | undefined;
  #scope = new CleanupStack();
  #grid: Promise<MatrixGrid> | undefined;

  async open(kind: GridKind): Promise<MatrixGrid> {
    if (this.#kind !== kind || this.#grid === undefined) {
      await this.close();
      this.#kind = kind;
      this.#grid = startGrid(this.#scope, kind);
    }
    return this.#grid;
  }

  async close(): Promise<void> {
    const scope = this.#scope;
    this.#scope = new CleanupStack();
    this.#grid = undefined;
    await scope.close();
  }
}

async function startGrid(scope: CleanupStack, { servers, introducer }: GridKind): Promise<MatrixGrid> {
  const start = introducer === 'our introducer' ? startOurIntroducer : startPythonIntroducer;
  const { furl } = await start(scope);
  const counts = SERVER_SETS[servers];
  await Promise.all([startPythonServers(scope, counts.python, furl), startOurServers(scope, counts.ours, furl)]);
  const encoding = { needed: 3, happy: 7, total: 10, maximumSegmentSize: SEGMENT_BYTES };
  const [python, ours] = await Promise.all([
    startPythonClient(scope, { introducer: furl, servers: SERVERS, encoding }),
    startOurClient(scope, { introducer: furl, encoding }),
  ]);
  await ours.connectedTo(SERVERS);
  return { introducer: furl, python, ours };
}
