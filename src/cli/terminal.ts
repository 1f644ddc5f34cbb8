/** Where a command writes: results on standard output, everything else on standard error. */
import { once } from 'node:events';

export interface Terminal {
  /** A result: one line. */
  print(line: string): void;
  /** A remark, an error or a warning: one line. */
  note(line: string): void;
  /** Bytes of a result; resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>;
  /** Replaces the progress line; an empty text removes it. Does nothing unless a person watches. */
  progress(line: string): void;
  readonly isInteractive: boolean;
}

export class ProcessTerminal implements Terminal {
  readonly isInteractive: boolean;
  readonly #quiet: boolean;
  #progress = '';

  constructor(options: { readonly quiet: boolean }) {
    this.#quiet = options.quiet;
    this.isInteractive = process.stderr.isTTY === true && !options.quiet && process.env.TERM !== 'dumb';
  }

  print(line: string): void {
    this.progress('');
    process.stdout.write(`${line}\n`);
  }

  note(line: string): void {
    this.progress('');
    if (!this.#quiet) process.stderr.write(`${line}\n`);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
  }

  progress(line: string): void {
    if (!this.isInteractive || line === this.#progress) return;
    const columns = process.stderr.columns ?? 80;
    process.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
    this.#progress = line;
  }
}
