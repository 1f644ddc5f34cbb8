/** Real kernel mounts: `npx ava --config test/mount.ava.config.js`. Needs root and /dev/fuse. */
export default {
  files: ['dist/test/mount/**/*.test.js'],
  timeout: '2m',
  workerThreads: false,
  serial: true,
};
