/** The progress line of long work. Plain characters unless colours are wanted (NO_COLOR is respected). */
import type { Terminal } from './terminal.js';

const BAR_WIDTH = 24;

export interface Amount {
  readonly done: number;
  readonly total: number;
}

/** `[=====>     ] 45%  LABEL` */
export function progressLine(label: string, { done, total }: Amount): string {
  const fraction = total === 0 ? 1 : Math.min(done / total, 1);
  const filled = Math.round(fraction * BAR_WIDTH);
  const bar = `${'='.repeat(filled)}${filled < BAR_WIDTH ? '>' : ''}`.padEnd(BAR_WIDTH).slice(0, BAR_WIDTH);
  const coloured = (process.env.NO_COLOR ?? '') === '' ? `\x1b[32m${bar}\x1b[0m` : bar;
  return `[${coloured}] ${String(Math.floor(fraction * 100)).padStart(3)}%  ${label}`;
}

/** 1234567 as `1.2 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}` : `${value.toFixed(1)} ${units[unit]}`;
}

/** Passes `source` through and shows how much of `totalBytes` has gone by (0: not known). */
export async function* withProgress(
  terminal: Terminal,
  label: string,
  source: AsyncIterable<Uint8Array>,
  totalBytes: number,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const part of source) {
    done += part.length;
    const text = `${label}: ${formatBytes(done)}`;
    terminal.progress(totalBytes > 0 ? progressLine(text, { done, total: totalBytes }) : text);
    yield part;
  }
  terminal.progress('');
}
