import test from 'ava';
import { PendingAlarm } from '../../../src/node/pending-alarm.js';
import type { Logger } from '../../../src/platform/logger.js';
import type { VfsStatus } from '../../../src/vfs/vfs.js';
import { ManualClock } from '../../support/manual-clock.js';

test('what waits for too long raises an alarm in status and log, once, until it has gone', (t) => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log: Logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (message, fields) => lines.push(`${message} ${JSON.stringify(fields)}`),
    child: () => log,
  };
  let oldestPendingSeconds = 0;
  const oldestPending = { path: '/d/file', state: { state: 'local', reason: 'too few servers' } } as const;
  const status = () => ({ oldestPendingSeconds, oldestPending }) as unknown as VfsStatus;
  const alarm = new PendingAlarm(status, clock, log, 600);
  alarm.start();
  clock.advance(60_000);
  t.is(alarm.message, undefined);
  oldestPendingSeconds = 601;
  clock.advance(120_000);
  t.is(alarm.message, '/d/file has been waiting for 601 s: local (too few servers)');
  t.is(lines.length, 1);
  t.regex(lines[0]!, /ALARM.*\/d\/file/);
  oldestPendingSeconds = 0;
  clock.advance(60_000);
  t.is(alarm.message, undefined);
  oldestPendingSeconds = 700;
  clock.advance(60_000);
  t.is(lines.length, 2);
  alarm.stop();
});
