/** What the journal of a killed node holds, read from a copy of it: what was on that computer only, and what was going on. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nodePlatform } from '../../src/node/node-platform.js';
import { silentLogger } from '../../src/platform/logger.js';
import { Effects } from '../../src/vfs/effects.js';
import { readCheckpoint } from '../../src/vfs/journal/checkpoint-file.js';
import { loadOrCreateJournalKey } from '../../src/vfs/journal/key.js';
import { openLog } from '../../src/vfs/journal/log-engine.js';
import { recoverLog } from '../../src/vfs/journal/log-recovery.js';
import { JournalKeys } from '../../src/vfs/journal/segment.js';
import { Replay } from '../../src/vfs/replay.js';
import { Tree } from '../../src/vfs/tree.js';

/** Small, so that there are many of them. */
export const KILL_SEGMENT_BYTES = 128 * 1024;

export interface JournalAtKill {
  /** With contents that are not on the grid. */
  readonly files: number;
  /** Names that were made, removed or replaced and are not proven on the grid. */
  readonly names: number;
  readonly directories: number;
  /** Directories of which a version had been sent that was not proven. */
  readonly publishing: number;
  /** A checkpoint was in the log and not yet where replay begins. */
  readonly isCheckpointing: boolean;
}

export async function journalAtKill(client: string, scratch: string): Promise<JournalAtKill> {
  const platform = nodePlatform(silentLogger);
  const { files, entropy } = platform;
  const directory = join(scratch, 'journal');
  await cp(join(client, 'journal'), directory, { recursive: true });
  const masterKey = await loadOrCreateJournalKey(files, join(client, 'private', 'journal.key'), entropy);
  const keys = new JournalKeys(masterKey);
  const pointer = await readCheckpoint(files, directory, keys);
  const { checkpoint } = await recoverLog(files, directory, keys);
  const known = typeof pointer === 'string' ? undefined : pointer.begin;
  const limits = { limitBytes: 2 ** 30, reserveBytes: 2 ** 28, segmentBytes: KILL_SEGMENT_BYTES };
  const { log, replay: records } = await openLog({
    files,
    directory,
    masterKey,
    entropy,
    log: silentLogger,
    ...limits,
  });
  const { tree } = await replayed(new Effects(log, new Tree(), platform.clock), records);
  await log.close();
  await rm(directory, { recursive: true });
  const pending = [...tree.pending];
  return {
    files: tree.dirtyFiles.size,
    names: pending.reduce((sum, { dirty }) => sum + dirty.size, 0),
    directories: pending.length,
    publishing: pending.filter(({ attempts }) => attempts.length > 0).length,
    isCheckpointing: checkpoint?.begin !== known,
  };
}

async function replayed(effects: Effects, records: Awaited<ReturnType<typeof openLog>>['replay']): Promise<Effects> {
  const replay = new Replay(effects);
  for await (const record of records) replay.apply(record);
  replay.finish();
  return effects;
}
