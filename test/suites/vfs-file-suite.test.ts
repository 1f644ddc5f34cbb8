import { oneNode } from '../support/vfs-grid.js';
import { fileSuite } from './file-suite.js';

fileSuite('journal and grid', async (t) => {
  const { node, root } = await oneNode(t);
  return { vfs: node.vfs, root };
});
