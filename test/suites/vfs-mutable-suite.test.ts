import { mutableFiles } from '../support/mutable-files.js';
import { oneNode } from '../support/vfs-grid.js';
import { contentSuite } from './file-suite.js';

for (const format of ['sdmf', 'mdmf'] as const) {
  contentSuite(`mutable files in ${format}`, async (t) => {
    const { node, root } = await oneNode(t);
    return { vfs: mutableFiles(node, format), root };
  });
}
