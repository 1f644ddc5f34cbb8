/** A tree with what real trees have: many small files, some large, and what is hard about names, links, modes and times. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { shell } from './real-grid.js';

const DIRECTORIES = 25;
const FILES_PER_DIRECTORY = 41;

/** 1,030 files with about 9 MB, directories (some empty), links. Returns `directory`. */
export async function makeSampleTree(directory: string): Promise<string> {
  for (let d = 0; d < DIRECTORIES; d++) {
    const path = join(directory, d % 2 === 0 ? `plain ${d}` : `Ünïcödé — 日本語/${d}`);
    mkdirSync(path, { recursive: true });
    for (let f = 0; f < FILES_PER_DIRECTORY; f++) {
      writeFileSync(join(path, f % 5 === 0 ? `файл ${f} 🗂` : `f${f}.txt`), randomBytes((f * 331 + d * 97) % 13_000), {
        mode: [0o644, 0o600, 0o755, 0o444][f % 4] ?? 0o644,
      });
    }
  }
  mkdirSync(join(directory, 'deep/1/2/3/4/5/6/7/8/9'), { recursive: true });
  mkdirSync(join(directory, 'empty directory'));
  writeFileSync(join(directory, 'deep/1/2/3/4/5/6/7/8/9/file'), 'deep');
  writeFileSync(join(directory, 'large.bin'), randomBytes(2_500_000));
  writeFileSync(join(directory, 'empty'), '');
  writeFileSync(join(directory, ` leading 'and' "odd" \\ [glob]* `), 'odd');
  writeFileSync(join(directory, '7'.repeat(255)), 'a long name');
  symlinkSync('large.bin', join(directory, 'link'));
  symlinkSync('/nowhere/at all', join(directory, 'dangling → absolute'));
  symlinkSync('../plain 0', join(directory, 'deep/link to directory'));
  await shell(
    `cd "$1"; chmod 0750 'empty directory'; chmod 2755 deep; touch -h -d '2001-02-03 04:05:06.123456789' large.bin link empty deep/1/2 'empty directory'`,
    directory,
  );
  return directory;
}
