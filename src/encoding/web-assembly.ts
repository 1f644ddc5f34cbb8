/**
 * Our WebAssembly kernels: compiled from base64 text at load, imported memory always shared and of fixed size.
 * The library types of the browser are not loaded, so the few names needed are declared here.
 */

export interface KernelMemory {
  readonly buffer: SharedArrayBuffer;
}

declare const WebAssembly:
  | {
      readonly Memory: new (shape: { initial: number; maximum: number; shared: true }) => KernelMemory;
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (
        module: object,
        imports: { env: { memory: KernelMemory } },
      ) => { readonly exports: unknown };
      validate(bytes: Uint8Array): boolean;
    }
  | undefined;

const PAGE_BYTES = 65536;

/** A kernel compiled once, to be bound to any number of memories. */
export interface Kernel<Exports> {
  bind(memory: KernelMemory): Exports;
}

/** The first of `candidates` (base64) that this engine can run; undefined if none, as with --jitless. */
export function loadKernel<Exports>(candidates: readonly string[]): Kernel<Exports> | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  const engine = WebAssembly;
  for (const text of candidates) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    if (!engine.validate(bytes)) continue;
    const module = new engine.Module(bytes);
    return { bind: (memory) => new engine.Instance(module, { env: { memory } }).exports as Exports };
  }
  return undefined;
}

/**
 * Zeroed memory of at least `sizeBytes`, which never grows: views of it stay valid while sockets and files hold them.
 * Pages take real memory only once touched. Undefined without WebAssembly.
 */
export function createKernelMemory(sizeBytes: number): KernelMemory | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  const pages = Math.ceil(sizeBytes / PAGE_BYTES);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}
