#!/usr/bin/env node
// The size of libuv's thread pool is read at its first use, so it must be set before anything is loaded.
process.env.UV_THREADPOOL_SIZE ??= '16';
void import('./main.js').then(({ main }) => main(process.argv));
