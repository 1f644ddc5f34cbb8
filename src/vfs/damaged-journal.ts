/**
 * What a start does when the journal turns out to be damaged: it is set aside whole as `journal.damaged-UTC`, a new one is
 * made of what can still be read, and `journal.damaged-UTC.txt` beside it says exactly what could not. Nothing is deleted.
 */
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { FileStore } from '../platform/file-store.js';
import type { Platform } from '../platform/platform.js';
import { writeFileDurably } from '../platform/write-file.js';
import { type DamagedLog, readDamagedLog } from './journal/damaged-log.js';
import type { LogPosition } from './journal/log.js';
import { type LogOptions, openLog } from './journal/log-engine.js';
import { JournalKeys, offsetOf, segmentOf } from './journal/segment.js';
import { type RebuildReport, rebuildJournal } from './rebuild-journal.js';

const JOURNAL = 'journal';
const REBUILT = 'journal.rebuilt';

/** `directory`: the one that holds the journal. A start that was interrupted between the two renames is brought to its end. */
export async function finishReplacement(files: FileStore, directory: string): Promise<void> {
  const isThere = async (name: string) => (await files.stat(`${directory}/${name}`)) !== undefined;
  if ((await isThere(JOURNAL)) || !(await isThere(REBUILT))) return;
  await files.rename(`${directory}/${REBUILT}`, `${directory}/${JOURNAL}`);
  await files.syncDirectory(directory);
}

/** Kind `permission` if there is a journal and the key that opens it is gone. A new key would open nothing of it. */
export async function checkKeyIsThere(files: FileStore, directory: string, keyPath: string): Promise<void> {
  if ((await files.stat(keyPath)) !== undefined) return;
  const names = await files.list(`${directory}/${JOURNAL}`).catch((error: unknown) => {
    if (isTahoeError(error, 'not-found')) return [];
    throw error;
  });
  if (!names.some((name) => name.endsWith('.log'))) return;
  throw new TahoeError(
    `the key of the journal, ${keyPath}, is missing: put it back from your backup of private/. Without it nothing that is ` +
      `not on the grid yet can be read. Nothing was changed. To give that up for good, move ${directory}/${JOURNAL} away.`,
    { kind: 'permission', op: 'journal.open', subject: keyPath },
  );
}

/** `options` are those of the journal itself; `reason`: why it could not be opened. */
export async function replaceDamagedJournal(
  options: LogOptions,
  directory: string,
  { clock, log, files }: Platform,
  reason: string,
): Promise<void> {
  const damaged = await readDamagedLog(files, options.directory, new JournalKeys(options.masterKey));
  const rebuilt = `${directory}/${REBUILT}`;
  if ((await files.stat(rebuilt)) !== undefined) await files.removeTree(rebuilt);
  // what was pending may fill the old one to its limit, and is said anew before anything of it can be recycled
  const target = await openLog({ ...options, directory: rebuilt, limitBytes: 2 * options.limitBytes });
  await target.log.finishReplay();
  const report = await rebuildJournal(damaged, target.log, clock);
  await target.log.close();

  const utc = new Date(clock.wallMs()).toISOString().replace(/[-:]|\.\d+/g, '');
  const aside = `${JOURNAL}.damaged-${utc}`;
  const text = describeDamage(aside, reason, damaged, report);
  await writeFileDurably(files, `${directory}/${aside}.txt`, new TextEncoder().encode(text));
  await files.rename(options.directory, `${directory}/${aside}`);
  await files.rename(rebuilt, options.directory);
  await files.syncDirectory(directory);
  log.error('the journal was damaged: it was set aside, and what can be read of it goes on', {
    reason,
    report: `${directory}/${aside}.txt`,
    unreadableStretches: damaged.gaps.length,
    doubtfulFiles: report.doubtfulFiles.length,
  });
}

/** For people. Names of files stand in it, as they do in the mount. */
function describeDamage(aside: string, reason: string, damaged: DamagedLog, report: RebuildReport): string {
  const { recordsKept, recordsWithoutSense, doubtfulFiles } = report;
  const stretches = damaged.gaps.map(({ from, to }) => `  from ${place(from)} to ${place(to)}`);
  const section = (title: string, lines: readonly string[]) => (lines.length === 0 ? [] : ['', title, ...lines]);
  return [
    `The journal was damaged (${reason}).`,
    `It was set aside whole, as ${aside}. ${recordsKept} records of it could be read and go on.`,
    ...section('These stretches of it could not be read:', stretches),
    ...section(
      'These files may lack bytes that were in them. Each is as it was at its last close before that; what could be read ' +
        'of later writes is beside it as NAME.recovered-UTC:',
      doubtfulFiles.map((path) => `  ${path}`),
    ),
    ...section(
      'These records speak of something that is in an unreadable stretch, and were left out:',
      recordsWithoutSense.map((line) => `  ${line}`),
    ),
    ...(stretches.length === 0
      ? []
      : [
          '',
          'Names that were made, moved or removed in an unreadable stretch only are as they were before, or as the grid has them.',
        ]),
    '',
    'When you do not need the old journal any more, remove it and this file; until then `tahoe status` speaks of it.',
    '',
  ].join('\n');
}

function place(position: LogPosition): string {
  return `segment ${segmentOf(position)} byte ${offsetOf(position)}`;
}
