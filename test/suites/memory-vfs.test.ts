import { MemoryVfs } from '../support/memory-vfs.js';
import { fileSuite } from './file-suite.js';

fileSuite('memory', async () => {
  const vfs = new MemoryVfs();
  return { vfs, root: (await vfs.openRoot('root')).inode };
});
