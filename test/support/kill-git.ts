/** Commits, one after the other, now and then a repack: every commit that was acknowledged is in the history, whole. */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Folder } from './kill-folder.js';
import { type Claim, endOf, errorsOf, linesOf, startProgram, until, type Work, type WorkPlace } from './kill-work.js';

const execute = promisify(execFile);

const script = `
set -e
cd "$1"
git init -q --template= -b main repository; cd repository
git config user.name a; git config user.email a@b; git config gc.auto 0
for number in $(seq 1 500); do
  echo "$2 $number" > "file$((number % 7))"
  git add .
  git commit -q -m "$number"
  head=$(git rev-parse HEAD)
  echo $head
  if [ $((number % 5)) = 0 ]; then git repack -adq; fi
done`;

export async function startGit({ round, target, scratch }: WorkPlace): Promise<Work> {
  const child = startProgram('bash', ['-c', script, 'sh', target, String(round)]);
  const commits = linesOf(child);
  const check = (folder: Folder) => checkRepository(folder, commits, scratch);
  return {
    killWithinMs: 300,
    begun: () => until(child, () => commits.length > 0),
    note: async () => {},
    complaints: errorsOf(child),
    ended: () => endOf(child),
    claims: (): Claim[] =>
      commits.length === 0 ? [] : [{ kind: 'commits', count: commits.length, promised: 'computer', check }],
  };
}

async function checkRepository(
  folder: Folder,
  commits: readonly string[],
  scratch: string,
): Promise<string | undefined> {
  const head = await folder.read('repository/.git/refs/heads/main');
  if (head === undefined) return 'lost: the branch';
  const copy = join(scratch, 'copy');
  await rm(copy, { recursive: true, force: true });
  const copied = (await folder.files('repository/.git')).map(async (path) => {
    const to = join(copy, path.slice('repository/'.length));
    const content = await folder.read(path);
    await mkdir(dirname(to), { recursive: true });
    if (content !== undefined) await writeFile(to, content);
  });
  await Promise.all(copied);
  // folders without files do not come along, and git wants them
  for (const name of ['refs/tags', 'objects/info', 'objects/pack'])
    await mkdir(join(copy, '.git', name), { recursive: true });
  try {
    await execute('git', ['-C', copy, 'fsck', '--full', '--strict']);
    const { stdout } = await execute('git', ['-C', copy, 'rev-list', 'HEAD']);
    const history = new Set(stdout.trim().split('\n'));
    const lost = commits.filter((commit) => !history.has(commit));
    return lost.length === 0 ? undefined : `lost: ${lost.length} commits of ${commits.length}`;
  } catch (error) {
    return `git: ${error instanceof Error ? error.message : String(error)}`;
  }
}
