/** Journals that keep too little, or too much. Kinds of records: src/vfs/records.ts. */
import type { Log, LogRecord } from '../../src/vfs/journal/log.js';
import type { LogOptions, OpenedLog } from '../../src/vfs/journal/log-engine.js';
import { recordKinds, WRITE_HEADER_BYTES } from '../../src/vfs/records.js';
import { overriding } from '../support/overriding.js';
import type { Defect } from './defects.js';
import type { SeamContext, Seams } from './seams.js';

type Open = (options: LogOptions) => Promise<OpenedLog>;
type Replay = AsyncIterable<LogRecord>;

/** Another replay. */
function replaying(change: (replay: Replay) => Replay): Seams {
  return {
    journal: (open: Open) => async (options) => {
      const opened = await open(options);
      return { ...opened, replay: change(opened.replay) };
    },
  };
}

function without(...kinds: readonly number[]): (replay: Replay) => Replay {
  return async function* (replay) {
    for await (const record of replay) if (!kinds.includes(record.kind)) yield record;
  };
}

async function* withFirstNamesAgain(replay: Replay): AsyncIterable<LogRecord> {
  let first: LogRecord | undefined;
  for await (const record of replay) {
    const payload = record.payload.slice();
    // those of a checkpoint are a state and not a change
    if (record.kind === recordKinds.names && !Buffer.from(payload).includes('"a":')) first ??= { ...record, payload };
    yield record;
  }
  if (first !== undefined) yield first;
}

/** The snapshot of a close is not waited for; anything else is. */
function withoutSyncOfSnapshots(log: Log): Log {
  let last = 0;
  return overriding(log, {
    append: (kind, parts, urgency) => {
      last = kind;
      return log.append(kind, parts, urgency);
    },
    sync: () => (last === recordKinds.snapshot ? Promise.resolve() : log.sync()),
  });
}

/** Of writes that no sync had covered the second half is zeros, as if torn records were good. */
async function openTorn(open: Open, options: LogOptions, { memory }: SeamContext): Promise<OpenedLog> {
  const opened = await open(options);
  const syncedTo = (memory.get('synced') as number | undefined) ?? 0;
  const torn = new Set<number>();
  const replay = async function* (): AsyncIterable<LogRecord> {
    for await (const record of opened.replay) {
      if (record.kind === recordKinds.write && record.position > syncedTo) torn.add(record.position);
      yield record;
    }
  };
  let end = syncedTo;
  const log = overriding(opened.log, {
    append: (kind, parts, urgency) => {
      end = opened.log.append(kind, parts, urgency);
      return end;
    },
    sync: async () => {
      const upTo = end;
      await opened.log.sync();
      memory.set('synced', upTo);
    },
    read: async (position) => {
      const payload = await opened.log.read(position);
      if (!torn.has(position)) return payload;
      return payload.slice().fill(0, WRITE_HEADER_BYTES + ((payload.length - WRITE_HEADER_BYTES) >> 1));
    },
  });
  return { ...opened, log, replay: replay() };
}

export const journalDefects: readonly Defect[] = [
  {
    name: 'snapshot-without-sync',
    what: 'a close is answered when its snapshot is in the page cache',
    config: '2-of-4-solo',
    seeds: 4,
    seams: {
      journal: (open: Open) => async (options) => {
        const opened = await open(options);
        return { ...opened, log: withoutSyncOfSnapshots(opened.log) };
      },
    },
  },
  {
    name: 'torn-tail-accepted',
    what: 'records that no sync had covered before a crash are taken though only half of them is there',
    config: '2-of-4-solo',
    seeds: 13,
    seams: { journal: (open, context) => (options) => openTorn(open, options, context) },
  },
  {
    name: 'delta-replayed-twice',
    what: 'replay applies a change of names again that others came after',
    config: '2-of-4-solo',
    seeds: 1,
    seams: replaying(withFirstNamesAgain),
  },
  {
    name: 'lost-truncate',
    what: 'replay does not know of truncations',
    seeds: 1,
    seams: replaying(without(recordKinds.truncate)),
  },
  {
    name: 'lost-snapshot',
    what: 'replay does not know of closes',
    seeds: 1,
    seams: replaying(without(recordKinds.snapshot)),
  },
  {
    name: 'attempts-not-journaled',
    what: 'after a crash a node does not know what it had begun to publish',
    config: '2-of-4-solo',
    seeds: 1,
    seams: replaying(without(recordKinds.attempt, recordKinds.attemptPart)),
  },
];
