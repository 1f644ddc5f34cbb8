/** A Vfs on which every new file is a mutable one: made on the grid, linked, and opened as one that was there before. */
import type { MutableFormat } from '../../src/caps/cap.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { Vfs } from '../../src/vfs/vfs.js';
import type { TestNode } from './vfs-grid.js';

export function mutableFiles({ vfs, platformGrid }: TestNode, format: MutableFormat): Vfs {
  const create: Vfs['create'] = async (parent, name, node, flags) => {
    const found = await vfs.lookup(parent, name).catch((error: unknown) => {
      if (isTahoeError(error, 'not-found')) return undefined;
      throw error;
    });
    if (found !== undefined) return vfs.create(parent, name, node, flags);
    const cap = await platformGrid.createMutable(new Uint8Array(0), format);
    const { inode } = await vfs.linkCap(parent, name, cap, 'never');
    await vfs.setAttributes(inode, node);
    const handle = await vfs.open(inode, flags);
    return { attributes: await vfs.attributes(inode), handle };
  };
  return new Proxy(vfs, {
    get(target, property) {
      if (property === 'create') return create;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
