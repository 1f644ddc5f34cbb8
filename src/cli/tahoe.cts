#!/usr/bin/env node
import v8 = require('node:v8');

// The size of libuv's thread pool is read at its first use, so it must be set before anything is loaded.
process.env.UV_THREADPOOL_SIZE ??= '16';
// Large files make little garbage on the heap but much beside it. With the usual growth the collector comes by after every
// 6 MB that are read, which is a quarter of the cost of reading.
v8.setFlagsFromString('--heap-growing-percent=300');
void import('./main.js').then(({ main }) => main(process.argv));
