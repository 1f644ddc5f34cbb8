import test from 'ava';
import { exitCodeOf } from '../../../src/cli/exit-codes.js';
import { formatBytes, progressLine, withProgress } from '../../../src/cli/progress.js';

test('sizes are short and have units', (t) => {
  t.is(formatBytes(0), '0 bytes');
  t.is(formatBytes(1), '1 byte');
  t.is(formatBytes(999), '999 bytes');
  t.is(formatBytes(1_234_567), '1.2 MB');
  t.is(formatBytes(5e15), '5.0 PB');
});

test('the bar is full at the end and never overflows', (t) => {
  t.regex(progressLine('x', { done: 0, total: 10 }), / 0% {2}x$/);
  t.regex(progressLine('x', { done: 10, total: 10 }), /100% {2}x$/);
  t.regex(progressLine('x', { done: 20, total: 10 }), /100% {2}x$/);
  t.regex(progressLine('x', { done: 0, total: 0 }), /100%/);
});

test('progress passes the bytes through unchanged', async (t) => {
  const lines: string[] = [];
  const terminal = {
    isInteractive: true,
    print: () => t.fail(),
    note: () => t.fail(),
    write: async () => t.fail(),
    progress: (line: string) => {
      lines.push(line);
    },
  };
  async function* source() {
    yield Uint8Array.of(1, 2);
    yield Uint8Array.of(3);
  }
  const seen: number[] = [];
  for await (const part of withProgress(terminal, 'file', source(), 3)) seen.push(...part);
  t.deepEqual(seen, [1, 2, 3]);
  t.is(lines.length, 3);
  t.is(lines.at(-1), '');
});

test('exit codes that scripts rely on', (t) => {
  t.is(exitCodeOf('not-found'), 2);
  t.is(exitCodeOf('closed'), 4);
  t.is(exitCodeOf('busy'), 5);
  t.is(exitCodeOf('unhappy'), 6);
  t.is(exitCodeOf('read-only'), 7);
  t.is(exitCodeOf('internal'), 1);
});
