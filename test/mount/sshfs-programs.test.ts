import test, { type ExecutionContext } from 'ava';
import { rootCap } from '../support/sftp-fixture.js';
import { mountOverSsh, mountPassively, type SshfsMount } from '../support/sshfs-mount.js';

const mounts: readonly (readonly [string, (t: ExecutionContext) => Promise<SshfsMount>])[] = [
  ['sshfs over pipes', mountPassively],
  ['sshfs over ssh', mountOverSsh],
];

const makeTree = `
  mkdir -p "$TMP/tree/sub/deep" "$TMP/tree/empty"
  echo hello > "$TMP/tree/plain"; echo '#!/bin/sh' > "$TMP/tree/script"; chmod 755 "$TMP/tree/script"
  echo secret > "$TMP/tree/sub/private"; chmod 600 "$TMP/tree/sub/private"; chmod 2750 "$TMP/tree/sub"
  head -c 3000000 /dev/urandom > "$TMP/tree/sub/deep/big"; : > "$TMP/tree/nothing"
  echo ü > "$TMP/tree/ünï 文件"; ln -s sub/deep/big "$TMP/tree/link"; ln -s ../nowhere "$TMP/tree/sub/dangling"
  for i in $(seq 200); do echo $i > "$TMP/tree/sub/deep/f$i"; done
  touch -h -d '2002-01-01' "$TMP/tree/link" "$TMP/tree/sub/dangling"
  touch -d '2001-02-03 04:05:06' "$TMP/tree/plain" "$TMP/tree/sub"
`;

for (const [name, mount] of mounts) {
  test.serial(`${name}: rsync -a copies a tree and finds nothing to do the second time`, async (t) => {
    const { shell } = await mount(t);
    await shell(makeTree);
    await shell('rsync -a "$TMP/tree/" "$MNT/tree/"');
    t.is(await shell('rsync -ai "$TMP/tree/" "$MNT/tree/"'), '');
    t.is(await shell('rsync -aci "$TMP/tree/" "$MNT/tree/"'), '');
    t.is(await shell('diff -r --no-dereference "$TMP/tree" "$MNT/tree"'), '');
    t.is(
      (await shell('readlink tree/link; stat -c "%a %Y" tree/sub; stat -c "%a" tree/sub/private')).trim(),
      ['sub/deep/big', `2750 ${(await shell('date -d "2001-02-03 04:05:06" +%s')).trim()}`, '600'].join('\n'),
    );
  });

  test.serial(`${name}: git commits, clones and checks a repository`, async (t) => {
    const { shell } = await mount(t);
    await shell(`
      export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
      git init -q -b main repository; cd repository
      for i in $(seq 50); do echo $i > file$i; done; git add .; git commit -qm one
      git mv file1 moved; git commit -qm two
      git clone -q . ../clone; cd ../clone; git fsck --full --strict; git status --porcelain
      test -f moved; test "$(git log --oneline | wc -l)" = 2; cd ..
      rm -rf repository; test ! -e repository
    `);
  });

  test.serial(`${name}: rename, touch, truncate, chmod, dd with fsync, df and append do what they say`, async (t) => {
    const { shell, vfs } = await mount(t);
    const out = await shell(`
      echo old > b; echo new > a; mv a b; cat b
      touch -d @1234567890 b; stat -c %Y b
      truncate -s 2 b; stat -c %s b; truncate -s 10 b; od -An -c b | tr -s ' '
      chmod 4711 b; stat -c %a b
      dd if=/dev/zero of=synced bs=64k count=20 conv=fsync status=none; stat -c %s synced
      df --output=size,avail -B4096 . | tail -1 | tr -s ' '
      echo one > log; echo two >> log; cat log
      mkdir d; echo x > d/x; if rmdir d 2>/dev/null; then echo removed; fi; rm -r d; ls
      ln -s b s; cat s | head -c 2; rm s; ls -a | head -2
    `);
    t.deepEqual(
      out.split('\n').filter((line) => line !== ''),
      [
        ...['new', '1234567890', '2', ' n e \\0 \\0 \\0 \\0 \\0 \\0 \\0 \\0', '4711', '1310720'],
        ...[`${2 ** 36} ${2 ** 35}`, 'one', 'two', 'b', 'log', 'synced', 'ne.', '..'],
      ],
    );
    t.is(vfs.openHandleCount(), 0);
    const root = (await vfs.openRoot(rootCap)).inode;
    const stateOf = async (file: string) => (await vfs.state((await vfs.lookup(root, file)).inode)).state;
    t.deepEqual([await stateOf('synced'), await stateOf('log')], ['grid', 'local']);
  });

  test.serial(`${name}: an open file that is replaced or removed stays readable`, async (t) => {
    const { shell } = await mount(t);
    const out = await shell(`
      echo first > f; exec 3< f; echo second > g; mv g f; cat <&3; cat f
      exec 4< f; rm f; cat <&4; ls
    `);
    t.is(
      out
        .split('\n')
        .filter((line) => !line.startsWith('.fuse_hidden'))
        .join(' ')
        .trim(),
      'first second second',
    );
  });
}
