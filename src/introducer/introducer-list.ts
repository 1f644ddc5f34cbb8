/** Which introducers a node has: `private/introducers.yaml`, and one from tahoe.cfg as in old nodes. Introducer spec 2. */
import { stringify } from 'yaml';
import { parseYaml } from '../encoding/yaml-text.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import { type Furl, parseFurl } from '../foolscap/furl.js';

export interface IntroducerAddress {
  readonly petname: string;
  readonly furl: Furl;
}

export const INTRODUCERS_FILE = 'private/introducers.yaml';

/** The petname of an introducer named in tahoe.cfg. */
const DEFAULT_PETNAME = 'default';
/** It becomes part of a file name. */
const PETNAME = /^[^/\0]{1,100}$/;

/**
 * `yaml`: the text of introducers.yaml, undefined if there is none. `legacyFurl`: `[client] introducer.furl`. Kind
 * `invalid` for anything that is not understood: a node without its introducer would seem to have lost its grid.
 */
export function readIntroducers(yaml: string | undefined, legacyFurl: string | undefined): IntroducerAddress[] {
  const introducers = yaml === undefined ? [] : parseIntroducersYaml(yaml);
  if (legacyFurl === undefined) return introducers;
  if (introducers.some(({ petname }) => petname === DEFAULT_PETNAME)) {
    throw invalid(
      `"${DEFAULT_PETNAME}" means [client] introducer.furl of tahoe.cfg: use another name here, or remove one`,
    );
  }
  return [...introducers, { petname: DEFAULT_PETNAME, furl: parseNamed(DEFAULT_PETNAME, legacyFurl) }];
}

/** The text of an introducers.yaml with one introducer, as `--introducer` makes it. Kind `invalid` for no FURL. */
export function introducersYamlFor(furl: string): string {
  parseFurl(furl);
  return stringify({ introducers: { [DEFAULT_PETNAME]: { furl } } }, { lineWidth: 0 });
}

function parseIntroducersYaml(yaml: string): IntroducerAddress[] {
  const introducers = fieldsOf(fieldsOf(yamlOf(yaml), 'it').introducers ?? {}, '"introducers"');
  return Object.entries(introducers).map(([petname, entry]) => {
    if (!PETNAME.test(petname)) throw invalid(`a name of an introducer cannot hold a slash (${petname.slice(0, 100)})`);
    const { furl } = fieldsOf(entry, petname);
    if (typeof furl !== 'string') throw invalid(`"${petname}" has no furl`);
    return { petname, furl: parseNamed(petname, furl) };
  });
}

function parseNamed(petname: string, furl: string): Furl {
  try {
    return parseFurl(furl);
  } catch (cause) {
    throw new TahoeError(`the introducer "${petname}" has no usable FURL`, {
      kind: 'invalid',
      op: 'introducers.parse',
      subject: petname,
      cause,
    });
  }
}

function yamlOf(text: string): unknown {
  try {
    return parseYaml(text) ?? {};
  } catch (error) {
    throw invalid(describeError(error));
  }
}

function fieldsOf(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} is not a mapping`);
  return value as Record<string, unknown>;
}

function invalid(message: string): TahoeError {
  return new TahoeError(`${INTRODUCERS_FILE}: ${message}`, { kind: 'invalid', op: 'introducers.parse' });
}
