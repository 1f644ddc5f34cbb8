/** A view of a Vfs for one mount, weaker in the ways that mount options ask for. */
import { TahoeError } from '../errors/tahoe-error.js';
import type { FileHandle, OpenFlags, Vfs } from '../vfs/vfs.js';

export interface Restrictions {
  /** Every change is refused with kind `read-only`. */
  readonly readOnly: boolean;
  /** fsync returns when the journal is durable and does not wait for the grid. */
  readonly fsyncToJournal: boolean;
}

const CHANGES: ReadonlySet<string | symbol> = new Set<keyof Vfs>([
  'setAttributes',
  'create',
  'makeDirectory',
  'makeSymlink',
  'makeNode',
  'unlink',
  'removeDirectory',
  'rename',
  'setExtendedAttribute',
  'removeExtendedAttribute',
  'linkCap',
  'detach',
  'createUnlinkedDirectory',
]);

export function restrictVfs(vfs: Vfs, restrictions: Restrictions): Vfs {
  const { readOnly, fsyncToJournal } = restrictions;
  if (!readOnly && !fsyncToJournal) return vfs;
  return overridden(vfs, (name) => {
    if (readOnly && CHANGES.has(name)) return () => Promise.reject(mountedReadOnly());
    switch (name) {
      case 'open':
        return async (inode: Parameters<Vfs['open']>[0], flags: OpenFlags) => {
          if (readOnly && (flags.write || flags.truncate === true)) throw mountedReadOnly();
          return restrictHandle(await vfs.open(inode, flags), fsyncToJournal);
        };
      case 'create':
        return async (...args: Parameters<Vfs['create']>) => {
          const created = await vfs.create(...args);
          return { ...created, handle: restrictHandle(created.handle, fsyncToJournal) };
        };
      case 'fsyncDirectory':
        // Operations on names are durable in the journal before they are answered.
        return fsyncToJournal ? () => Promise.resolve() : undefined;
      default:
        return undefined;
    }
  });
}

function restrictHandle(handle: FileHandle, fsyncToJournal: boolean): FileHandle {
  if (!fsyncToJournal) return handle;
  return overridden(handle, (name) => (name === 'fsync' ? () => handle.flush() : undefined));
}

/** `target` with some of its methods replaced. The others run on the target itself, private fields and all. */
function overridden<Target extends object>(target: Target, replacement: (name: string | symbol) => unknown): Target {
  return new Proxy(target, {
    get(_, name) {
      const replaced = replacement(name);
      if (replaced !== undefined) return replaced;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

function mountedReadOnly(): TahoeError {
  return new TahoeError('this is mounted read-only', { kind: 'read-only', op: 'mount' });
}
