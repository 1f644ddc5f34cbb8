import type { Command } from 'commander';
import { TahoeError } from '../../errors/tahoe-error.js';
import { action } from '../action.js';
import { type CliContext, type NodeSession, usageError, withNode } from '../cli-context.js';
import { type CopySource, kindAt, openSource } from '../copy-source.js';
import { type CopyTarget, openTarget } from '../copy-target.js';
import { EXIT_LEFT_BEHIND, EXIT_OK } from '../exit-codes.js';
import { formatBytes } from '../progress.js';
import { describePending, waitForGrid } from '../sync.js';

/** Files on their way at once. */
const PARALLEL_FILES = 8;

interface CopyOptions {
  readonly recursive?: boolean;
  readonly verbose?: boolean;
}

export function addCopyCommand(program: Command): void {
  program
    .command('cp <paths...>')
    .usage('[-r] FROM... TO')
    .description('copy files and directories between this computer and the grid (local paths have no "alias:")')
    .option('-r, --recursive', 'also directories')
    .option('-v, --verbose', 'say what is copied')
    .action(action(copy));
}

async function copy(context: CliContext, paths: readonly string[], options: CopyOptions) {
  const to = paths.at(-1)!;
  if (paths.length < 2) throw usageError('cp takes at least two paths: FROM... TO');
  return withNode(context, async (session) => {
    const sources = await Promise.all(paths.slice(0, -1).map((from) => openSource(session, from)));
    if (sources.some(({ kind }) => kind === 'directory') && options.recursive !== true) {
      throw usageError('cannot copy directories without --recursive');
    }
    const target = openTarget(session, to);
    const copier = new Copier(session, target, options.verbose ?? false);
    await planCopy(copier, sources, to, await kindAt(session, to));
    await copier.finish();
    return target.needsSync ? reportSync(session, copier) : reportDone(session, copier);
  });
}

/** The rules of CLI spec 10.1: what becomes a file, what a directory, and what goes into which. */
async function planCopy(
  copier: Copier,
  sources: readonly CopySource[],
  to: string,
  present: CopySource['kind'] | undefined,
): Promise<void> {
  const [only] = sources;
  if (sources.length === 1 && only?.kind === 'file' && present !== 'directory') {
    if (to.endsWith('/')) throw usageError(`target is not a directory, but ends with a slash: ${to}`);
    await copier.putFile([], only);
    return;
  }
  if (present === 'file') {
    throw new TahoeError(`target is not a directory: ${to}`, { kind: 'not-a-directory', op: 'cli.cp', subject: to });
  }
  await copier.makeDirectory([]);
  const names = new Set<string>();
  for (const source of sources) {
    if (source.name === undefined && source.kind === 'file') {
      throw usageError('a capability has no name: write the name of the new file after the target directory');
    }
    if (source.name !== undefined && names.has(source.name)) {
      throw usageError(`two sources would both become ${source.name}`);
    }
    if (source.name !== undefined) names.add(source.name);
    await copier.copyInto(source.name === undefined ? [] : [source.name], source);
  }
}

class Copier {
  files = 0;
  bytes = 0;
  readonly #session: NodeSession;
  readonly #target: CopyTarget;
  readonly #verbose: boolean;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(session: NodeSession, target: CopyTarget, verbose: boolean) {
    this.#session = session;
    this.#target = target;
    this.#verbose = verbose;
  }

  async copyInto(path: readonly string[], source: CopySource): Promise<void> {
    if (source.kind === 'file') {
      await this.putFile(path, source);
      return;
    }
    if (path.length > 0) await this.makeDirectory(path);
    for (const child of await source.children()) await this.copyInto([...path, child.name ?? ''], child);
  }

  makeDirectory(path: readonly string[]): Promise<void> {
    return this.#target.makeDirectory(path);
  }

  /** Starts one copy; waits only while as many as allowed are running. */
  async putFile(path: readonly string[], source: CopySource): Promise<void> {
    while (this.#running.size >= PARALLEL_FILES) await Promise.race(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
    const copying: Promise<void> = this.#copy(path, source).finally(() => this.#running.delete(copying));
    this.#running.add(copying);
  }

  /** Waits for what is running; throws the first failure. */
  async finish(): Promise<void> {
    await Promise.all(this.#running);
    this.#session.terminal.progress('');
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #copy(path: readonly string[], source: CopySource): Promise<void> {
    const { terminal } = this.#session;
    try {
      await this.#target.putFile(path, source);
      this.files += 1;
      this.bytes += source.sizeBytes;
      if (this.#verbose) terminal.note(path.join('/') || (source.name ?? 'file'));
      terminal.progress(`copied ${this.files} files, ${formatBytes(this.bytes)}`);
    } catch (error) {
      this.#failure ??= { error };
    }
  }
}

async function reportSync(session: NodeSession, copier: Copier): Promise<number> {
  const { left, reason } = await waitForGrid(session, undefined);
  if (reason === undefined) return reportDone(session, copier);
  session.terminal.note(`copied, but ${describePending(left)} are on this computer only: ${reason}`);
  return EXIT_LEFT_BEHIND;
}

function reportDone(session: NodeSession, copier: Copier): number {
  session.terminal.note(copier.files === 1 ? 'Success: file copied' : `Success: ${copier.files} files copied`);
  return EXIT_OK;
}
