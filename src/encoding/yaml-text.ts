/** YAML that people and other programs have written. */
import { parse } from 'yaml';
import { TahoeError } from '../errors/tahoe-error.js';

/**
 * The value of a text; null for an empty one. Keys are texts. Kind `invalid` for what is not YAML, and for aliases: a
 * few of those can stand for any amount of memory.
 */
export function parseYaml(text: string): unknown {
  try {
    // warnings would go to the terminal of whoever runs the node
    return parse(text, { maxAliasCount: 0, stringKeys: true, logLevel: 'error' }) as unknown;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new TahoeError(`not YAML: ${message}`, { kind: 'invalid', op: 'yaml.parse', cause });
  }
}
