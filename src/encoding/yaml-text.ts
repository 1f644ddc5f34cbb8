/** YAML that people and other programs have written. */
import { Composer, type CST, Parser } from 'yaml';
import { TahoeError } from '../errors/tahoe-error.js';

/**
 * What is deeper would be composed by recursion until the stack ends, and where that happens inside a regular expression
 * it ends the process.
 */
const DEPTH_MAX = 100;

/**
 * The value of a text; null for an empty one. Keys are texts. Kind `invalid` for what is not one document of YAML, and
 * for aliases: a few of those can stand for any amount of memory.
 */
export function parseYaml(text: string): unknown {
  const tokens = [...new Parser().parse(text)];
  if (isTooDeep(tokens)) throw notYaml('nested too deeply');
  // warnings would go to the terminal of whoever runs the node
  const composer = new Composer({ stringKeys: true, logLevel: 'error' });
  const [document, another] = composer.compose(tokens, true, text.length);
  const error = document?.errors[0];
  if (document === undefined || another !== undefined) throw notYaml('not one document');
  if (error !== undefined) throw notYaml(error.message, error);
  try {
    return document.toJS({ maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    throw notYaml(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Without recursion of its own. */
function isTooDeep(tokens: readonly CST.Token[]): boolean {
  let level: readonly CST.Token[] = tokens;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEPTH_MAX) return true;
    level = level.flatMap(childrenOf);
  }
  return false;
}

function childrenOf(token: CST.Token): readonly CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!('items' in token)) return [];
  return token.items.flatMap(({ key, value }) => [key, value].filter((child) => child !== undefined && child !== null));
}

function notYaml(reason: string, cause?: unknown): TahoeError {
  return new TahoeError(`not YAML: ${reason}`, { kind: 'invalid', op: 'yaml.parse', cause });
}
