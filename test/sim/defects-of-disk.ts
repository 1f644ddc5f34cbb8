/** Disks that do not keep what they promise. */

import { sleep } from '../../src/platform/clock.js';
import type { FileStore, OpenedFile } from '../../src/platform/file-store.js';
import { overriding } from '../support/overriding.js';
import type { Defect } from './defects.js';

function eachFile(inner: FileStore, change: (file: OpenedFile) => OpenedFile): FileStore {
  return overriding(inner, { open: async (path, mode) => change(await inner.open(path, mode)) });
}

export const diskDefects: readonly Defect[] = [
  {
    name: 'answer-before-fsync',
    what: 'a sync of the journal is answered at once and made half a second later',
    config: '2-of-4-solo',
    seeds: 2,
    seams: {
      disk: (inner, { time }) =>
        eachFile(inner, (file) =>
          overriding(file, {
            sync: async () => {
              // the disk may be another one by then
              time.setTimer(500, () => void file.sync().catch(() => undefined));
            },
          }),
        ),
    },
  },
  {
    name: 'sync-forgets-names',
    what: 'new and renamed files of the journal are not made durable in their directory',
    config: '2-of-4-solo',
    seeds: 1,
    seams: { disk: (inner) => overriding(inner, { syncDirectory: async () => {} }) },
  },
  {
    name: 'replace-deletes-first',
    what: 'a file is replaced by removing the old one and then renaming the new one',
    config: '2-of-4-solo',
    seeds: 5,
    seams: {
      disk: (inner, { time }) =>
        overriding(inner, {
          rename: async (from, to) => {
            if ((await inner.stat(to)) !== undefined) await inner.remove(to);
            await sleep(time, 40);
            await inner.rename(from, to);
          },
        }),
    },
  },
];
