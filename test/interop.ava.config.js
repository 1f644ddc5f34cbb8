/** With the Python implementation: `TAHOE_PYTHON=VENV/bin/tahoe npx ava --config test/interop.ava.config.js`. */
export default {
  files: ['dist/test/interop/**/*.test.js'],
  timeout: '3m',
  workerThreads: false,
  serial: true,
};
