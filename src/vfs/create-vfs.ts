/** Makes the Vfs of a node: opens the journal, replays it, and puts the parts together. */
import { isTahoeError } from '../errors/tahoe-error.js';
import type { Grid } from '../grid/grid.js';
import type { SlotContext } from '../mutable/slot-context.js';
import { quorumsOf } from '../mutable/slot-map.js';
import type { Platform } from '../platform/platform.js';
import { Activity } from './activity.js';
import { nodeNameOf } from './conflict-name.js';
import { ContentReader } from './content-reader.js';
import { defaultSettings, type VfsCore, type VfsSettings } from './core.js';
import { Counters } from './counters.js';
import { checkKeyIsThere, finishReplacement, replaceDamagedJournal } from './damaged-journal.js';
import { Effects } from './effects.js';
import { loadOrCreateJournalKey } from './journal/key.js';
import type { Log, LogPosition } from './journal/log.js';
import { type LogOptions, type OpenedLog, openLog } from './journal/log-engine.js';
import { SealedStore } from './journal/sealed-store.js';
import type { KeySource } from './key-pool.js';
import { Ledger } from './ledger.js';
import { Receipts } from './receipts.js';
import { RememberedDirectories } from './remembered-directories.js';
import { Replay } from './replay.js';
import { Tree } from './tree.js';
import type { Change } from './vfs.js';
import { type NodeVfs, VfsEngine } from './vfs-engine.js';

export interface VfsOptions {
  readonly platform: Platform;
  readonly grid: Grid;
  readonly slots: SlotContext;
  readonly keys: KeySource;
  readonly encoding: { readonly sharesNeeded: number; readonly sharesHappy: number; readonly sharesTotal: number };
  /** Absolute; the journal and the remembered directories go below it. */
  readonly directory: string;
  /** The node's nickname, for names of conflict copies. */
  readonly nodeName?: string;
  /** File of the journal's key. */
  readonly keyPath: string;
  readonly journalBytesMax: number;
  /** Part of it that only draining may use. Default 256 MiB. */
  readonly journalReserveBytes?: number;
  /** See LogOptions. */
  readonly journalSegmentBytes?: number;
  readonly settings?: Partial<VfsSettings>;
  /** Opens the journal, for those who keep it their own way. Default: encrypted segments below `directory`. */
  readonly openJournal?: (options: LogOptions) => Promise<OpenedLog>;
}

const JOURNAL_RESERVE_BYTES = 256 * 1024 * 1024;

/**
 * Opens the journal below `directory` and resumes what was pending. The caller holds the lock of the node's directory.
 * A journal that is damaged where it was promised is set aside: see damaged-journal. Kinds: `permission` (the journal's key
 * is missing or another one), `no-space`.
 */
export async function createVfs(options: VfsOptions): Promise<NodeVfs> {
  const { platform, grid, slots, encoding, directory } = options;
  const settings: VfsSettings = { ...defaultSettings, ...options.settings };
  await checkKeyIsThere(platform.files, directory, options.keyPath);
  const masterKey = await loadOrCreateJournalKey(platform.files, options.keyPath, platform.entropy);
  const sealed = { files: platform.files, masterKey, entropy: platform.entropy, log: platform.log };
  await finishReplacement(platform.files, directory);
  const { opened, effects } = await openJournal(options, {
    ...sealed,
    directory: `${directory}/journal`,
    limitBytes: options.journalBytesMax,
    reserveBytes: options.journalReserveBytes ?? JOURNAL_RESERVE_BYTES,
    ...(options.journalSegmentBytes === undefined ? {} : { segmentBytes: options.journalSegmentBytes }),
  });
  const { tree } = effects;
  const ledger = new Ledger(effects, platform.clock);
  const watchers = new Set<(change: Change) => void>();
  const proven = new SealedStore({ ...sealed, directory: `${directory}/remembered` });
  const core: VfsCore = {
    platform,
    settings,
    tree,
    ledger,
    activity: new Activity(platform.clock),
    grid,
    slots,
    quorums: quorumsOf(encoding),
    sharesHappy: encoding.sharesHappy,
    nodeName: nodeNameOf(options.nodeName ?? ''),
    contents: new ContentReader(opened.log, grid, slots, quorumsOf(encoding)),
    remembered: new RememberedDirectories(proven, platform.log),
    receipts: new Receipts(proven, platform.log),
    notify: (change) => {
      for (const watcher of watchers) watcher(change);
    },
    counters: new Counters(),
  };
  const engine = new VfsEngine(core, options.keys, watchers);
  await engine.resume();
  return engine;
}

interface ReplayedJournal {
  readonly opened: OpenedLog;
  readonly effects: Effects;
}

/** The journal, replayed; a damaged one is replaced by what can be read of it first. */
async function openJournal(options: VfsOptions, logOptions: LogOptions): Promise<ReplayedJournal> {
  try {
    return await replayJournal(options, logOptions);
  } catch (error) {
    // whoever keeps the journal elsewhere knows better what to do about it
    if (!isTahoeError(error, 'corrupt') || options.openJournal !== undefined) throw error;
    await replaceDamagedJournal(logOptions, options.directory, options.platform, error.message);
    return replayJournal(options, logOptions);
  }
}

async function replayJournal({ openJournal: open = openLog, platform }: VfsOptions, logOptions: LogOptions) {
  const opened = await open(logOptions);
  try {
    const effects = new Effects(opened.log, new Tree(), platform.clock);
    const replay = new Replay(effects);
    let verifiedFrom = Number.POSITIVE_INFINITY;
    for await (const record of opened.replay) {
      verifiedFrom = Math.min(verifiedFrom, record.position);
      replay.apply(record);
    }
    replay.finish();
    await verifyOlderBytes(opened.log, effects.tree, verifiedFrom);
    await opened.log.finishReplay();
    return { opened, effects };
  } catch (error) {
    await opened.log.close();
    throw error;
  }
}

/** What was read by replay is verified; the checkpoint may refer to bytes in older segments. Kind `corrupt`. */
async function verifyOlderBytes(log: Log, tree: Tree, verifiedFrom: LogPosition): Promise<void> {
  const older = new Set<LogPosition>();
  for (const { content } of tree.dirtyFiles) {
    for (const view of [content?.overlay, content?.snapshot, content?.kept]) {
      for (const { position } of view?.extents() ?? []) if (position < verifiedFrom) older.add(position);
    }
  }
  for (const position of [...older].sort((a, b) => a - b)) await log.read(position);
}
