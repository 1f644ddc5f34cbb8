/**
 * Builds dist: the WebAssembly kernels as ES modules (base64 text, so that pure layers read no files), then TypeScript.
 * A kernel is compiled only when its module is older than its source. Several builds may run at once: each output
 * appears by rename.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const kernels = [
  { source: 'src/erasure/assembly/gf256.ts', output: 'dist/src/erasure/gf256-wasm.js', relaxed: true },
  { source: 'src/crypto/assembly/sha256d.ts', output: 'dist/src/crypto/sha256d-wasm.js', relaxed: false },
];

const modifiedMs = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

async function compileKernel(asc, source, features) {
  let binary;
  const flags = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--use', 'abort=', '--enable', features];
  const memory = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
  const { error, stderr } = await asc.main([source, ...flags, ...memory, '--outFile', 'kernel.wasm'], {
    readFile: undefined,
    writeFile: (name, contents) => {
      if (name === 'kernel.wasm') binary = contents;
    },
  });
  if (error) throw new Error(`${source}: ${stderr.toString()}`, { cause: error });
  return Buffer.from(binary).toString('base64');
}

async function buildKernel({ source, output, relaxed }) {
  const asc = await import('assemblyscript/asc');
  const lines = [`export const simd = '${await compileKernel(asc, source, 'simd,threads')}';`];
  if (relaxed) {
    const features = 'simd,relaxed-simd,threads';
    lines.push(`export const relaxedSimd = '${await compileKernel(asc, source, features)}';`);
  }
  const temporary = `${output}.${process.pid}`;
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(temporary, `${lines.join('\n')}\n`);
  renameSync(temporary, output);
}

process.chdir(root);
const script = fileURLToPath(import.meta.url);
for (const kernel of kernels) {
  const sourceMs = Math.max(modifiedMs(kernel.source), modifiedMs(script));
  if (modifiedMs(kernel.output) <= sourceMs) await buildKernel(kernel);
}
const typescript = createRequire(import.meta.url).resolve('typescript/package.json');
const tsc = spawnSync(process.execPath, [join(dirname(typescript), 'bin/tsc')], { stdio: 'inherit' });
process.exitCode = tsc.status ?? 1;
