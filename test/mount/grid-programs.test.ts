import { join } from 'node:path';
import test from 'ava';
import { mountNode, shell, startGrid, startReader, sync } from '../support/real-grid.js';

test('git in the mount: commit, clone, gc, fsck; a second client clones what was synced', async (t) => {
  t.timeout(300_000);
  const grid = await startGrid(t);
  const mount = await mountNode(t, grid, join(grid.work, 'mount'));
  await shell(
    `cd "$1"
     export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
     git init -q -b main one; cd one
     for i in $(seq 60); do echo $i > file$i; done; git add .; git commit -qm first
     git mv file1 moved; rm file2; git commit -qam second
     git clone -q . ../two; cd ../two; git fsck --full --strict
     test -f moved; test ! -e file2; test -z "$(git status --porcelain)"
     echo more >> file3; git commit -qam third; git push -q origin main:third
     cd ../one; git gc -q; git fsck --full --strict; test "$(git log --format=%s third | head -1)" = third`,
    mount,
  );
  await sync(grid);
  const reader = await startReader(t, grid, 'reader');
  const other = await mountNode(t, reader, join(grid.work, 'other'), '-o', 'ro');
  const log = await shell(
    `export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
     git clone -q "$1/two" "$2/clone"; cd "$2/clone"; git fsck --full --strict; git log --format=%s`,
    other,
    grid.work,
  );
  t.is(log, 'third\nsecond\nfirst\n');
});

test('two mounts of one directory in one node see the changes of each other at once', async (t) => {
  t.timeout(120_000);
  const grid = await startGrid(t);
  const one = await mountNode(t, grid, join(grid.work, 'one'));
  const two = await mountNode(t, grid, join(grid.work, 'two'));
  const seen = await shell(
    `echo first > "$1/file"; cat "$2/file"
     echo second > "$1/file"; cat "$2/file"
     mkdir "$2/d"; mv "$1/file" "$1/d/moved"; cat "$2/d/moved"; ls "$2"
     rm -r "$2/d"; ls "$1"; test ! -e "$1/d"`,
    one,
    two,
  );
  t.is(seen, 'first\nsecond\nsecond\nd\n');
});

test('an editor saves by renaming a new file over the old one: readers see the old or the new, whole', async (t) => {
  t.timeout(120_000);
  const grid = await startGrid(t);
  const mount = await mountNode(t, grid, join(grid.work, 'mount'));
  const wrong = await shell(
    `cd "$1"; printf '%010000d' 0 > file
     (for i in 1 2 3 4 5 6 7 8 9; do printf "%010000d" $i > .file.tmp; sync .file.tmp & mv .file.tmp file; done; wait) &
     while kill -0 $! 2>/dev/null; do c=$(cat file); test \${#c} = 10000 || echo "size \${#c}"; done; wait
     test "$(cat file)" = "$(printf '%010000d' 9)" || echo 'not the last'; test -z "$(ls -A | grep -v '^file$')" || ls -A`,
    mount,
  );
  t.is(wrong, '');
  await sync(grid);
  const reader = await startReader(t, grid, 'reader');
  const other = await mountNode(t, reader, join(grid.work, 'other'), '-o', 'ro');
  t.is(await shell('cat "$1/file"; ls -A "$1"', other), `${'9'.padStart(10_000, '0')}file\n`);
});
