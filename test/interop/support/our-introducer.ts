/** An introducer of ours in a process of its own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.js';
import { type RunningProgram, runTahoe, tahoeOutput, temporaryDirectory } from '../../support/running-tahoe.js';

export interface OurIntroducer {
  readonly directory: string;
  readonly furl: string;
  readonly running: RunningProgram;
}

export async function startOurIntroducer(scope: Cleanup): Promise<OurIntroducer> {
  const directory = join(await temporaryDirectory(scope), 'introducer');
  await tahoeOutput('create-introducer', directory);
  const furl = (await readFile(join(directory, 'private/introducer.furl'), 'utf8')).trim();
  return { directory, furl, running: await runTahoe(scope, directory) };
}
