/**
 * What another version of Node.js could change: the fast tests without those that only go through very many cases, and
 * without those of hostile peers, whose limits of memory and time were set on Node.js 20.
 */
export default {
  files: [
    'dist/test/unit/**/*.test.js',
    'dist/test/suites/**/*.test.js',
    '!dist/test/unit/immutable/python-caps.test.js',
    '!dist/test/unit/foolscap/{negotiation,tub}.test.js',
    '!dist/test/suites/{fuzz,https-answers,https-connections,mutable-files,server-faults,simulation}.test.js',
    '!dist/test/suites/vfs-!(durability|file-suite).test.js',
  ],
  timeout: '2m',
  workerThreads: true,
};
