/**
 * INI text as the reference reads it (configuration spec 12): sections, keys without regard to case, lines that begin
 * with `#` or `;` are comments, lines indented deeper than their key continue its value, the last of duplicates counts,
 * `%%` is a percent sign and `%(key)s` the value of another key of the same section.
 */
import { TahoeError } from '../errors/tahoe-error.js';

const REFERENCE_DEPTH_MAX = 10;
/** In one value, those in what it refers to included: a few lines that refer to each other could stand for gigabytes. */
const REFERENCES_MAX = 1000;

export interface IniEntry {
  readonly section: string;
  /** In lower case. */
  readonly key: string;
  /** As it stands in the file, trimmed. */
  readonly raw: string;
  /** Of the key, from 1. */
  readonly line: number;
}

interface IniSection {
  readonly name: string;
  /** Of the first header with this name. */
  readonly line: number;
}

interface OpenValue {
  readonly indent: number;
  readonly entry: Omit<IniEntry, 'raw'>;
  readonly lines: string[];
}

export class IniFile {
  readonly #source: string;
  readonly #sections = new Map<string, IniSection>();
  readonly #entries = new Map<string, IniEntry>();

  /** `source` names the file in messages. Kind `invalid`, naming the line. */
  constructor(text: string, source: string) {
    this.#source = source;
    let section: string | undefined;
    let open: OpenValue | undefined;
    for (const [index, line] of text
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
      .entries()) {
      const trimmed = line.trim();
      if (/^[#;]/.test(trimmed)) continue;
      if (trimmed === '') {
        open?.lines.push('');
        continue;
      }
      const indent = line.length - line.trimStart().length;
      if (open !== undefined && indent > open.indent) {
        open.lines.push(trimmed);
        continue;
      }
      this.#keep(open);
      open = undefined;
      const header = /^\[(.+)\]/.exec(trimmed)?.[1];
      if (header !== undefined) {
        section = header;
        if (!this.#sections.has(header)) this.#sections.set(header, { name: header, line: index + 1 });
        continue;
      }
      const [, key, value] = /^([^=:]+)[=:](.*)$/.exec(trimmed) ?? [];
      if (key === undefined || section === undefined) {
        const expected = section === undefined ? 'a [section] must come first' : 'expected "key = value"';
        throw this.#wrong(index + 1, `${expected}: ${trimmed}`);
      }
      open = {
        indent,
        entry: { section, key: key.trimEnd().toLowerCase(), line: index + 1 },
        lines: [(value ?? '').trimStart()],
      };
    }
    this.#keep(open);
  }

  /** In the order of the file. */
  sections(): IniSection[] {
    return [...this.#sections.values()];
  }

  entries(): IniEntry[] {
    return [...this.#entries.values()];
  }

  /** The value, undefined if the key is not there. Kind `invalid` for a percent sign that means nothing. */
  text(section: string, key: string): string | undefined {
    const entry = this.#entries.get(idOf(section, key));
    return entry === undefined ? undefined : this.#expand(entry, entry.raw, 0, { references: 0 });
  }

  /** The error for a value, with file, line, section and key. */
  wrongValue(section: string, key: string, problem: string): TahoeError {
    const entry = this.#entries.get(idOf(section, key));
    return this.#wrong(entry?.line, `[${section}] ${key} ${problem}`);
  }

  wrongSection(section: string, problem: string): TahoeError {
    return this.#wrong(this.#sections.get(section)?.line, `[${section}] ${problem}`);
  }

  #keep(open: OpenValue | undefined): void {
    if (open === undefined) return;
    const { entry, lines } = open;
    const id = idOf(entry.section, entry.key);
    // Again from the end, so that messages and lists follow the line that counts.
    this.#entries.delete(id);
    this.#entries.set(id, { ...entry, raw: lines.join('\n').trim() });
  }

  #expand(entry: IniEntry, raw: string, depth: number, count: { references: number }): string {
    if (depth > REFERENCE_DEPTH_MAX) throw this.wrongValue(entry.section, entry.key, 'refers to itself');
    return raw.replace(/%(%|\(([^)%]*)\)s|)/g, (_, form: string, name: string | undefined) => {
      if (form === '%') return '%';
      if (form === '') throw this.wrongValue(entry.section, entry.key, 'has a lone percent sign: write %%');
      const other = this.#entries.get(idOf(entry.section, name ?? ''));
      if (other !== undefined) {
        count.references += 1;
        if (count.references > REFERENCES_MAX)
          throw this.wrongValue(entry.section, entry.key, 'has too many references');
        return this.#expand(entry, other.raw, depth + 1, count);
      }
      throw this.wrongValue(entry.section, entry.key, `refers to ${name}, which is not in this section`);
    });
  }

  #wrong(line: number | undefined, message: string): TahoeError {
    const place = line === undefined ? this.#source : `${this.#source}:${line}`;
    return new TahoeError(`${place}: ${message}`, { kind: 'invalid', op: 'node.config', subject: this.#source });
  }
}

function idOf(section: string, key: string): string {
  return `${section}]${key.toLowerCase()}`;
}
