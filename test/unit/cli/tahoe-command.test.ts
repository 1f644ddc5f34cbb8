import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function tahoe(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['dist/src/cli/tahoe.cjs', ...args], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-cli-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test('a command to a node that does not run says how to start it, and exits with 4', async (t) => {
  const path = join(await temporaryDirectory(t), 'node');
  t.is((await tahoe('create-client', path)).code, 0);
  const { code, stdout, stderr } = await tahoe('-d', path, 'ls');
  t.is(code, 4);
  t.is(stdout, '');
  t.true(stderr.includes(`Start it with: tahoe run ${path}`), stderr);
});

test('wrong usage exits with 1 and names the help', async (t) => {
  for (const args of [['no-such-command'], ['ls', '--no-such-option'], ['mount'], ['create-grid']]) {
    const { code, stderr } = await tahoe(...args);
    t.is(code, 1, args.join(' '));
    t.regex(stderr, /error: /);
  }
});

test('create-grid refuses numbers that can never work', async (t) => {
  const path = join(await temporaryDirectory(t), 'grid');
  const few = await tahoe('create-grid', path, '--servers', '3');
  t.is(few.code, 1);
  t.regex(few.stderr, /3 servers can never make a write happy that needs 7/);
  const wrong = await tahoe('create-grid', path, '--shares-needed', '11');
  t.regex(wrong.stderr, /--shares-needed <= --shares-total/);
});

test('run of a directory that holds no node exits with 2 and says how to make one', async (t) => {
  const { code, stderr } = await tahoe('run', await temporaryDirectory(t));
  t.is(code, 2);
  t.regex(stderr, /neither a node directory nor a grid.*create-client/s);
});

test('--version is that of the package', async (t) => {
  const { code, stdout } = await tahoe('--version');
  t.is(code, 0);
  t.regex(stdout, /^\d+\.\d+\.\d+\n$/);
});
