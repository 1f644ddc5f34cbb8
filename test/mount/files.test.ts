import fs from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { command, type Leftovers, startMount, type TestMount } from '../support/mount-fixture.js';

const variants = [
  { title: 'event loop', options: { mount: { reader: 'event-loop' } } },
  { title: 'worker', options: { mount: { reader: 'worker' } } },
  { title: 'writeback', options: { mount: { writeback: true } } },
] as const;

for (const { title, options } of variants) {
  const mounted = (name: string, body: (t: ExecutionContext, mount: TestMount) => Promise<void> | void) => {
    test(`${title}: ${name}`, async (t) => {
      const mount = await startMount(t, options);
      await body(t, mount);
      const left = (await mount.call({ what: 'unmount' })) as Leftovers;
      t.deepEqual(left, { remembered: 0, openHandles: 0, problems: [] }, 'nothing is left after the unmount');
    });
  };

  mounted('what is written is read back, also past 4 GiB', (t, mount) => {
    const file = path.join(mount.path, 'file');
    const fd = fs.openSync(file, 'w+');
    fs.writeSync(fd, 'end', 5 * 2 ** 30);
    fs.writeSync(fd, 'begin', 0);
    fs.fsyncSync(fd);
    t.is(fs.fstatSync(fd).size, 5 * 2 ** 30 + 3);
    const read = Buffer.alloc(8, 1);
    t.is(fs.readSync(fd, read, 0, 8, 5 * 2 ** 30), 3);
    t.is(read.subarray(0, 3).toString(), 'end');
    fs.ftruncateSync(fd, 7);
    t.is(fs.readFileSync(file, 'latin1'), 'begin\0\0');
    fs.closeSync(fd);
  });

  mounted('1 MiB reads and writes of 40 MiB come back as they were', async (t, mount) => {
    const source = Buffer.alloc(40 << 20);
    for (let at = 0; at < source.length; at += 4096) source.writeUInt32LE(at ^ 0x5bd1e995, at);
    const file = path.join(mount.path, 'big');
    fs.writeFileSync(file, source);
    fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
    t.true(fs.readFileSync(file).equals(source));
  });

  mounted('two descriptors opened for append do not overwrite each other', (t, mount) => {
    const file = path.join(mount.path, 'log');
    const [left, right] = [fs.openSync(file, 'a'), fs.openSync(file, 'a')];
    for (let i = 0; i < 50; i++) {
      fs.writeSync(left, 'l');
      fs.writeSync(right, 'r');
    }
    fs.closeSync(left);
    fs.closeSync(right);
    t.is(fs.readFileSync(file, 'latin1'), 'lr'.repeat(50));
  });

  mounted('open flags do what open(2) says', (t, mount) => {
    const file = path.join(mount.path, 'file');
    fs.writeFileSync(file, 'content', { flag: 'wx' });
    t.throws(() => fs.openSync(file, 'wx'), { code: 'EEXIST' });
    t.throws(() => fs.openSync(path.join(mount.path, 'none'), 'r+'), { code: 'ENOENT' });
    t.throws(() => fs.openSync(mount.path, 'w'), { code: 'EISDIR' });
    fs.closeSync(fs.openSync(file, 'r+'));
    t.is(fs.readFileSync(file, 'latin1'), 'content');
    fs.closeSync(fs.openSync(file, 'w'));
    t.is(fs.statSync(file).size, 0);
  });

  mounted('an unlinked open file stays readable and writable and has no link', (t, mount) => {
    const file = path.join(mount.path, 'gone');
    const fd = fs.openSync(file, 'w+');
    fs.writeSync(fd, 'still');
    fs.unlinkSync(file);
    t.deepEqual(fs.readdirSync(mount.path), []);
    fs.writeSync(fd, ' here', 5);
    const read = Buffer.alloc(10);
    t.is(fs.readSync(fd, read, 0, 10, 0), 10);
    t.is(read.toString(), 'still here');
    t.is(fs.fstatSync(fd).nlink, 0);
    fs.closeSync(fd);
  });

  mounted('rename replaces a file that is open and moves directories', (t, mount) => {
    const at = (name: string) => path.join(mount.path, name);
    fs.writeFileSync(at('old'), 'old');
    fs.writeFileSync(at('new'), 'new');
    const fd = fs.openSync(at('old'), 'r');
    fs.renameSync(at('new'), at('old'));
    t.is(fs.readFileSync(at('old'), 'latin1'), 'new');
    t.is(fs.readFileSync(fd, 'latin1'), 'old');
    fs.closeSync(fd);
    fs.mkdirSync(at('a/b/c'), { recursive: true });
    t.throws(() => fs.renameSync(at('a'), at('a/b/x')), { code: 'EINVAL' });
    t.throws(() => fs.renameSync(at('old'), at('a')), { code: 'EISDIR' });
    t.throws(() => fs.renameSync(at('a'), at('old')), { code: 'ENOTDIR' });
    fs.renameSync(at('a/b'), at('b'));
    t.deepEqual(fs.readdirSync(mount.path), ['a', 'b', 'old']);
    t.throws(() => fs.rmdirSync(at('b')), { code: 'ENOTEMPTY' });
  });

  mounted('times keep their nanoseconds, before 1970 and after 2038', async (t, mount) => {
    const file = path.join(mount.path, 'file');
    fs.writeFileSync(file, '');
    for (const time of ['1969-07-20 20:17:40.123456789 Z', '2106-02-07 06:28:16.000000001 Z']) {
      await command(mount.path, 'touch', '-m', '-d', time, 'file');
      t.is(fs.statSync(file, { bigint: true }).mtimeNs, nanoseconds(time));
    }
  });

  mounted('symbolic links, fifos and names of all kinds', async (t, mount) => {
    const names = ['ä', '日本語', 'line\nfeed', ' ', '-rf', 'x'.repeat(255), '\u{1f600}'];
    for (const name of names) fs.symlinkSync(`to ${name}`, path.join(mount.path, name));
    t.deepEqual(fs.readdirSync(mount.path).sort(), [...names].sort());
    for (const name of names) t.is(fs.readlinkSync(path.join(mount.path, name)), `to ${name}`);
    t.throws(() => fs.writeFileSync(path.join(mount.path, 'x'.repeat(256)), ''), { code: 'ENAMETOOLONG' });
    const notUtf8 = Buffer.concat([Buffer.from(`${mount.path}/`), Buffer.from([0xff, 0xfe])]);
    t.throws(() => fs.writeFileSync(notUtf8, ''), { code: 'EINVAL' });
    await command(mount.path, 'mkfifo', 'fifo');
    t.true(fs.statSync(path.join(mount.path, 'fifo')).isFIFO());
    await command(mount.path, 'mknod', 'null', 'c', '1', '3');
    t.is(fs.statSync(path.join(mount.path, 'null')).rdev, 0x103);
  });

  mounted('modes: umask, chmod, chown clears set-id bits, a write of another user too', async (t, mount) => {
    const file = path.join(mount.path, 'file');
    await command(mount.path, 'sh', '-c', 'umask 027; echo x > file');
    t.is(fs.statSync(file).mode & 0o7777, 0o640);
    fs.chmodSync(file, 0o6777);
    fs.chownSync(file, 1, 2);
    t.is(fs.statSync(file).mode & 0o7777, 0o777);
    fs.chmodSync(file, 0o6777);
    fs.chmodSync(mount.path, 0o777);
    await command(
      '/',
      'setpriv',
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      'sh',
      '-c',
      `echo y >> ${file}`,
    );
    t.is(fs.statSync(file).mode & 0o7777, 0o777);
    fs.chmodSync(file, 0o600);
    await t.throwsAsync(
      command('/', 'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', 'cat', file),
      { message: /Permission denied/ },
    );
    fs.mkdirSync(path.join(mount.path, 'shared'));
    fs.chownSync(path.join(mount.path, 'shared'), 0, 77);
    fs.chmodSync(path.join(mount.path, 'shared'), 0o2775);
    fs.mkdirSync(path.join(mount.path, 'shared/sub'));
    const sub = fs.statSync(path.join(mount.path, 'shared/sub'));
    t.is(sub.gid, 77);
    t.is(sub.mode & 0o2000, 0o2000);
  });

  mounted('extended attributes', async (t, mount) => {
    fs.writeFileSync(path.join(mount.path, 'file'), '');
    await command(mount.path, 'setfattr', '-n', 'user.note', '-v', 'a value', 'file');
    t.is(await command(mount.path, 'getfattr', '--only-values', '-n', 'user.note', 'file'), 'a value');
    t.regex(await command(mount.path, 'getfattr', '-d', 'file'), /user\.note="a value"/);
    t.is(await command(mount.path, 'getfattr', '--only-values', '-n', 'user.tahoe.state', 'file'), 'local');
    await command(mount.path, 'setfattr', '-x', 'user.note', 'file');
    await t.throwsAsync(command(mount.path, 'getfattr', '-n', 'user.note', 'file'), { message: /No such attribute/ });
    await t.throwsAsync(command(mount.path, 'setfattr', '-n', 'trusted.x', '-v', 'a', 'file'), {
      message: /not supported/,
    });
  });

  mounted('a directory of 3000 names is listed whole while it changes', (t, mount) => {
    const names = Array.from({ length: 3000 }, (_, i) => `name-${String(i).padStart(5, '0')}-${'x'.repeat(i % 100)}`);
    for (const name of names) fs.writeFileSync(path.join(mount.path, name), '');
    const directory = fs.opendirSync(mount.path, { bufferSize: 16 });
    const seen: string[] = [];
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      seen.push(entry.name);
      fs.unlinkSync(path.join(mount.path, entry.name));
      if (seen.length === 10) fs.writeFileSync(path.join(mount.path, 'zzz'), 'x');
    }
    directory.closeSync();
    t.deepEqual(
      seen.filter((name) => name !== 'zzz'),
      names,
    );
    t.true(fs.readdirSync(mount.path).every((name) => name === 'zzz'));
  });

  mounted('mapped pages: reading, and writing through a descriptor opened for append', async (t, mount) => {
    fs.writeFileSync(path.join(mount.path, 'file'), 'a'.repeat(10000));
    const program = [
      'import mmap, os, sys',
      'fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)',
      'm = mmap.mmap(fd, 0)',
      'assert m[9999:10000] == b"a"',
      'm[5000:5003] = b"map"',
      'm.flush()',
      'm.close()',
      'os.write(fd, b"appended")',
      'os.close(fd)',
    ].join('\n');
    await command(mount.path, 'python3', '-c', program, 'file');
    const expected = Buffer.from(`${'a'.repeat(10000)}appended`);
    expected.write('map', 5000);
    t.is(fs.readFileSync(path.join(mount.path, 'file'), 'latin1'), expected.toString('latin1'));
  });

  mounted('3000 random reads, writes, truncations and reopenings equal the same on an array', (t, mount) => {
    const next = seeded(title.length);
    const file = path.join(mount.path, 'file');
    let model = Buffer.alloc(0);
    let fd = fs.openSync(file, 'w+');
    for (let step = 0; step < 3000; step++) {
      const at = next(300_000);
      switch (next(8)) {
        case 0:
        case 1:
        case 2: {
          const data = Buffer.alloc(1 + next(70_000), step % 256);
          fs.writeSync(fd, data, 0, data.length, at);
          model = resized(model, Math.max(model.length, at + data.length));
          data.copy(model, at);
          break;
        }
        case 3:
          fs.ftruncateSync(fd, at);
          model = resized(model, at);
          break;
        case 4:
          if (step % 10 === 0) fs.writeFileSync('/proc/sys/vm/drop_caches', '3');
          fs.closeSync(fd);
          fd = fs.openSync(file, next(2) === 0 ? 'r+' : fs.constants.O_RDWR | fs.constants.O_CREAT);
          break;
        default: {
          const read = Buffer.alloc(next(70_000));
          const count = fs.readSync(fd, read, 0, read.length, at);
          if (!read.subarray(0, count).equals(model.subarray(at, at + read.length))) t.fail(`step ${step} at ${at}`);
        }
      }
      if (fs.fstatSync(fd).size !== model.length) t.fail(`size at step ${step}`);
    }
    fs.closeSync(fd);
    t.true(fs.readFileSync(file).equals(model));
  });

  mounted('fallocate extends, punches and zeroes; copies between files work', async (t, mount) => {
    fs.writeFileSync(path.join(mount.path, 'file'), 'x'.repeat(10000));
    await command(mount.path, 'fallocate', '-p', '-o', '10', '-l', '100', 'file');
    await command(mount.path, 'fallocate', '-z', '-o', '9990', '-l', '20', 'file');
    await command(mount.path, 'fallocate', '-o', '0', '-l', '20000', 'file');
    const expected = Buffer.alloc(20000);
    expected.fill('x', 0, 9990).fill(0, 10, 110);
    t.true(fs.readFileSync(path.join(mount.path, 'file')).equals(expected));
    fs.copyFileSync(path.join(mount.path, 'file'), path.join(mount.path, 'copy'));
    await command(mount.path, 'cp', '--reflink=auto', '--sparse=never', 'file', 'copy2');
    t.true(fs.readFileSync(path.join(mount.path, 'copy')).equals(expected));
    t.true(fs.readFileSync(path.join(mount.path, 'copy2')).equals(expected));
  });
}

function nanoseconds(time: string): bigint {
  const [day, clock] = time.split(' ');
  const [whole, fraction] = (clock ?? '').split('.');
  return BigInt(Date.parse(`${day}T${whole}Z`)) * 1_000_000n + BigInt(fraction ?? '0');
}

function resized(data: Buffer, sizeBytes: number): Buffer<ArrayBuffer> {
  const result = Buffer.alloc(sizeBytes);
  data.copy(result);
  return result;
}

/** The same numbers below a limit for the same seed. */
function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
