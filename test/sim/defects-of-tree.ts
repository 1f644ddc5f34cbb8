/** File systems whose operations are not what they look like. */
import { sleep } from '../../src/platform/clock.js';
import type { FileHandle, Vfs } from '../../src/vfs/vfs.js';
import { overriding } from '../support/overriding.js';
import type { Defect } from './defects.js';
import type { SeamContext } from './seams.js';

function eachHandle(inner: Vfs, change: (handle: FileHandle) => FileHandle): Partial<Vfs> {
  return {
    open: async (inode, flags) => change(await inner.open(inode, flags)),
    create: async (parent, name, node, flags) => {
      const created = await inner.create(parent, name, node, flags);
      return { ...created, handle: change(created.handle) };
    },
  };
}

async function renameDeletingFirst(inner: Vfs, { time }: SeamContext, ...[from, to, mode]: Parameters<Vfs['rename']>) {
  if (mode === 'replace' && (from.parent !== to.parent || from.name !== to.name)) {
    const standing = await inner.lookup(to.parent, to.name).catch(() => undefined);
    if (standing?.kind === 'file') {
      await inner.lookup(from.parent, from.name);
      await inner.unlink(to.parent, to.name);
      await sleep(time, 60);
    }
  }
  return inner.rename(from, to, mode);
}

/** A directory is moved by moving what is in it. */
async function moveByContents(inner: Vfs, { time }: SeamContext, ...[from, to, mode]: Parameters<Vfs['rename']>) {
  const moved = await inner.lookup(from.parent, from.name);
  const standing = await inner.lookup(to.parent, to.name).catch(() => undefined);
  let above = to.parent;
  for (let up = (await inner.parentOf(above)).inode; up !== above && above !== moved.inode; ) {
    above = up;
    up = (await inner.parentOf(above)).inode;
  }
  if (moved.kind !== 'directory' || standing !== undefined || mode !== 'replace' || above === moved.inode)
    return inner.rename(from, to, mode);
  const made = await inner.makeDirectory(to.parent, to.name, { mode: moved.mode, uid: moved.uid, gid: moved.gid });
  for (const { name } of await inner.readDirectory(moved.inode)) {
    await sleep(time, 400);
    await inner.rename({ parent: moved.inode, name }, { parent: made.inode, name }, 'replace');
  }
  await inner.removeDirectory(from.parent, from.name);
}

export const treeDefects: readonly Defect[] = [
  {
    name: 'rename-deletes-first',
    what: 'a rename over a file removes that file and then renames',
    config: '2-of-4-solo',
    seeds: 4,
    seams: {
      vfs: (inner, context) =>
        overriding(inner, { rename: (from, to, mode) => renameDeletingFirst(inner, context, from, to, mode) }),
    },
  },
  {
    name: 'directory-moved-by-contents',
    what: 'a directory is moved by making a new one and moving what is in the old one',
    config: '2-of-4-solo',
    seeds: 6,
    seams: {
      vfs: (inner, context) =>
        overriding(inner, { rename: (from, to, mode) => moveByContents(inner, context, from, to, mode) }),
    },
  },
  {
    name: 'close-answers-early',
    what: 'a close is answered before its snapshot is taken',
    config: '2-of-4-solo',
    seeds: 1,
    seams: {
      vfs: (inner, { time }) =>
        overriding(
          inner,
          eachHandle(inner, (handle) => {
            let late: Promise<void> = Promise.resolve();
            return overriding(handle, {
              flush: async () => {
                late = sleep(time, 100).then(() => handle.flush());
                late.catch(() => undefined);
              },
              release: async () => {
                late.then(() => handle.release()).catch(() => undefined);
              },
            });
          }),
        ),
    },
  },
  {
    name: 'fsync-of-the-journal-only',
    what: 'fsync is answered when the journal has it',
    seeds: 1,
    seams: { settings: { fsync: 'journal' } },
  },
  {
    name: 'fsync-at-upload',
    what: 'fsync is answered when the content is on the grid, and not its name',
    seeds: 4,
    seams: {
      grid: (inner, { memory }) =>
        overriding(inner, {
          upload: async (source, options) => {
            const result = await inner.upload(source, options);
            memory.set('uploads', ((memory.get('uploads') as number | undefined) ?? 0) + 1);
            return result;
          },
        }),
      vfs: (inner, { memory, time }) =>
        overriding(
          inner,
          eachHandle(inner, (handle) =>
            overriding(handle, {
              fsync: async (options) => {
                const before = memory.get('uploads');
                const real = handle.fsync(options);
                const isUploaded = async (): Promise<void> => {
                  while (memory.get('uploads') === before) await sleep(time, 5);
                };
                await Promise.race([real, isUploaded()]);
                real.catch(() => undefined);
              },
            }),
          ),
        ),
    },
  },
  {
    name: 'conflict-copy-left-out',
    what: 'of two changes of one name the one that came second is dropped',
    seeds: 1,
    seams: {
      vfs: (inner) => {
        inner.watch((change) => {
          if (change.what === 'entry' && change.name.includes('.conflict-'))
            inner.unlink(change.parent, change.name).catch(() => undefined);
        });
        return inner;
      },
    },
  },
  {
    name: 'view-never-renewed',
    what: 'what another node changed is not looked for',
    seeds: 9,
    seams: { settings: { freshnessMs: 1e12 } },
  },
];
