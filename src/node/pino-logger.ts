/** The product's Logger over pino: JSON lines into the node's log file, warnings and errors on standard error as well. */
import { createWriteStream } from 'node:fs';
import { multistream, type Logger as Pino, pino } from 'pino';
import type { LogFields, Logger } from '../platform/logger.js';

/** Logs to `path`; `warnings`, if given, gets one readable line for each warning and error. */
export function openLogger(path: string, warnings?: (line: string) => void): Logger {
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
  file.on('error', (error) => warnings?.(`cannot write the log: ${error.message}`));
  const streams: { stream: { write(line: string): unknown }; level: 'info' | 'warn' }[] = [
    { stream: file, level: 'info' },
  ];
  if (warnings !== undefined) streams.push({ stream: { write: (line) => warnings(readable(line)) }, level: 'warn' });
  return new PinoLogger(
    pino({ level: 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime }, multistream(streams)),
  );
}

class PinoLogger implements Logger {
  readonly #pino: Pino;

  constructor(logger: Pino) {
    this.#pino = logger;
  }

  debug(message: string, fields: LogFields = {}): void {
    this.#pino.debug(fields, message);
  }

  info(message: string, fields: LogFields = {}): void {
    this.#pino.info(fields, message);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#pino.warn(fields, message);
  }

  error(message: string, fields: LogFields = {}): void {
    this.#pino.error(fields, message);
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(this.#pino.child(fields));
  }
}

/** `warning: message (key=value, ...)` of one JSON line. */
function readable(line: string): string {
  const { level, msg, time: _time, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const word = Number(level) >= 50 ? 'error' : 'warning';
  const details = Object.entries(fields).map(([key, value]) => `${key}=${textOf(value)}`);
  return `${word}: ${String(msg)}${details.length > 0 ? ` (${details.join(', ')})` : ''}`;
}

function textOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) return String(value.message);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
