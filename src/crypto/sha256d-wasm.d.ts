// Written by scripts/build.mjs from assembly/sha256d.ts: a WebAssembly module in base64.
export declare const simd: string;
