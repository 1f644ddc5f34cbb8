/** YAML that people and other programs have written. */
import { parse } from 'yaml';
import { TahoeError } from '../errors/tahoe-error.js';

/** Nobody writes lines that begin with more spaces and list marks; the parser takes memory for each until the process ends. */
const TOO_DEEP = /^[ \t?:-]{256}/m;

/**
 * The value of a text; null for an empty one. Keys are texts. Kind `invalid` for what is not YAML, and for aliases: a
 * few of those can stand for any amount of memory.
 */
export function parseYaml(text: string): unknown {
  if (TOO_DEEP.test(text)) throw notYaml('nested too deeply');
  try {
    // warnings would go to the terminal of whoever runs the node
    return parse(text, { maxAliasCount: 0, stringKeys: true, logLevel: 'error' }) as unknown;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw notYaml(message, cause);
  }
}

function notYaml(reason: string, cause?: unknown): TahoeError {
  return new TahoeError(`not YAML: ${reason}`, { kind: 'invalid', op: 'yaml.parse', cause });
}
