// Written by scripts/build.mjs from assembly/gf256.ts: WebAssembly modules in base64.
export declare const simd: string;
export declare const relaxedSimd: string;
