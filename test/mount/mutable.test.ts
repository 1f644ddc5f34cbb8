import { join } from 'node:path';
import test from 'ava';
import { mountNode, mountSshfs, shell, startGrid, startReader, sync } from '../support/real-grid.js';
import { tahoeOutput } from '../support/running-tahoe.js';

for (const format of ['SDMF', 'MDMF']) {
  test(`programs write a mutable file in ${format} in the mount and over sshfs; it keeps its capability`, async (t) => {
    t.timeout(120_000);
    const grid = await startGrid(t);
    const tahoe = (...args: string[]) => tahoeOutput('-d', grid.directory, ...args);
    const content = join(grid.work, 'content');
    await shell(`for i in $(seq 40000); do echo "line $i of it"; done > "$1"`, content);
    await tahoe('put', content, 'file', '--mutable', '--format', format);
    const cap = await tahoe('ls', 'file', '--uri');
    const mount = await mountNode(t, grid, join(grid.work, 'mount'));
    const remote = await mountSshfs(t, grid, join(grid.work, 'sshfs'));
    const printed = await shell(
      `cmp "$1/file" "$3"
       printf changed | tee >(dd of="$3" conv=notrunc bs=1 seek=300000 status=none) | dd of="$1/file" conv=notrunc,fsync bs=1 seek=300000 status=none
       echo 'one more' | tee -a "$3" >> "$1/file"
       stat -c %s "$1/file"; cmp "$1/file" "$3"; tail -n 1 "$2/file"
       echo 'over sftp' | tee -a "$3" >> "$2/file"
       truncate -s 400000 "$1/file"; truncate -s 400000 "$3"; sync "$1/file"; cmp "$1/file" "$3"
       getfattr --only-values -n user.tahoe.state "$1/file"`,
      mount,
      remote,
      content,
    );
    t.regex(printed, /^\d+\none more\ngrid$/);
    await sync(grid);
    t.is(await tahoe('ls', 'file', '--uri'), cap);
    const copy = join(grid.work, 'copy');
    await tahoe('get', 'file', copy);
    await shell(`cmp "$1" "$2"`, copy, content);
    // a second, empty client that has no more than the capability to read
    const reader = await startReader(t, grid, 'reader');
    const other = await mountNode(t, reader, join(grid.work, 'other'));
    await shell(`cmp "$1/file" "$2"; ! (echo x >> "$1/file") 2>/dev/null`, other, content);
  });
}
