/** What another version of Node.js could change: the fast tests without those that only go through very many cases. */
export default {
  files: [
    'dist/test/unit/**/*.test.js',
    'dist/test/suites/**/*.test.js',
    '!dist/test/unit/immutable/python-caps.test.js',
    '!dist/test/suites/{conflicts-two-nodes,mutable-files,server-faults,simulation}.test.js',
    '!dist/test/suites/vfs-{damaged-journal,faults,mutable-files,power-loss,publish,races,replay,times}.test.js',
  ],
  timeout: '2m',
  workerThreads: true,
};
