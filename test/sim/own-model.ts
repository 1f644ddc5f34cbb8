/**
 * What a node's own directory must be: a list of states, one for each effect of an operation, of which after a crash one
 * must be there. A kill leaves the last, or the one that was being made; a loss of power any since the last one that was
 * acknowledged to be durable.
 */
export interface FileEntry {
  readonly kind: 'file';
  /** The same file under whatever name. */
  readonly object: number;
  /** What a reader on this node sees. */
  readonly live: string;
  /** What was there at the last close; undefined if it was never closed. */
  readonly closed: string | undefined;
  /** Bytes were written through a handle, though it may be empty again. */
  readonly wasWritten: boolean;
  readonly mode: number;
}

export type Entry =
  | FileEntry
  | { readonly kind: 'directory'; readonly mode: number }
  | { readonly kind: 'symlink'; readonly target: string; readonly mode: number };

/** By path from the node's own directory, which is ''. */
export type TreeState = ReadonlyMap<string, Entry>;

/** What was found by walking the tree. */
export type Found =
  /** `isRing`: a link to a directory above it. */
  | { readonly kind: 'file'; readonly content: string; readonly mode: number; readonly isRing?: true }
  | { readonly kind: 'directory'; readonly mode: number }
  | { readonly kind: 'symlink'; readonly target: string; readonly mode: number };

const RECOVERED = /^(.*)\.recovered-\d{8}T\d{6}Z(-\d+)?$/;

export class OwnModel {
  #states: TreeState[] = [new Map([['', { kind: 'directory', mode: 0o755 }]])];
  #durable = 0;
  #underway: readonly TreeState[] = [];
  /** After a crash, until it is known what is there. */
  #candidates: { readonly states: readonly TreeState[]; readonly isExact: boolean } | undefined;
  #objects = 0;

  get now(): TreeState {
    return this.#states.at(-1)!;
  }

  /** A name for this moment. */
  get mark(): number {
    return this.#states.length - 1;
  }

  get isKnown(): boolean {
    return this.#candidates === undefined;
  }

  newObject(): number {
    return ++this.#objects;
  }

  since(mark: number): readonly TreeState[] {
    return this.#states.slice(mark);
  }

  /** An effect begins, of one state after the other: from now on each may be there after a crash. */
  begin(states: readonly TreeState[]): void {
    this.#underway = states;
  }

  /** It is done. */
  done(): void {
    this.#states.push(...this.#underway);
    this.#underway = [];
  }

  /** It failed, and an operation that failed has done nothing. */
  undone(): void {
    this.#underway = [];
  }

  durableTo(mark: number): void {
    this.#durable = Math.max(this.#durable, mark);
  }

  crash(how: 'kill' | 'power'): void {
    const before = this.#candidates;
    const underway = this.#underway;
    this.#underway = [];
    if (before !== undefined) {
      // a second one before the first was looked at: what a kill had left may be lost now
      if (how === 'power')
        this.#candidates = { states: [...this.#states.slice(this.#durable), ...before.states], isExact: false };
      return;
    }
    const states = how === 'kill' ? [this.now, ...underway] : [...this.#states.slice(this.#durable), ...underway];
    this.#candidates = { states, isExact: how === 'kill' };
  }

  /** What is there after a crash must be one of the candidates; undefined if it is, else why not. */
  recognise(found: ReadonlyMap<string, Found>): string | undefined {
    const { states, isExact } = this.#candidates!;
    let reason = '';
    for (const state of [...states].reverse()) {
      const difference = differenceAfterCrash(state, found, isExact);
      if (difference === undefined) {
        this.#settle(this.#entriesOf(found, state));
        return undefined;
      }
      reason ||= difference;
    }
    return `none of ${states.length} possible states is there; compared with the last: ${reason}`;
  }

  #settle(state: TreeState): void {
    this.#states.push(state);
    this.#durable = this.mark;
    this.#candidates = undefined;
  }

  #entriesOf(found: ReadonlyMap<string, Found>, known: TreeState): TreeState {
    const state = new Map<string, Entry>();
    for (const [path, each] of found) {
      if (each.kind !== 'file') state.set(path, each);
      else {
        const before = known.get(path);
        const object = before?.kind === 'file' ? before.object : this.newObject();
        const { content, mode } = each;
        state.set(path, { kind: 'file', object, live: content, closed: content, wasWritten: false, mode });
      }
    }
    return state;
  }
}

/** It is not what it was at its last close, or there was none since something was written. */
export function isUnclosed({ live, closed, wasWritten }: FileEntry): boolean {
  return live !== (closed ?? '') || (closed === undefined && wasWritten);
}

/** Compares a running node's view; undefined if it is right. Contents only where they were read. */
export function difference(state: TreeState, found: ReadonlyMap<string, Found>): string | undefined {
  for (const path of new Set([...state.keys(), ...found.keys()])) {
    const expected = state.get(path);
    const wrong = differs(expected === undefined ? undefined : asFound(expected), found.get(path));
    if (wrong !== undefined) return `${path}: ${wrong}`;
  }
  return undefined;
}

function differenceAfterCrash(
  state: TreeState,
  found: ReadonlyMap<string, Found>,
  isExact: boolean,
): string | undefined {
  const expected = new Map<string, Found>();
  const open = new Map<string, string>();
  for (const [path, entry] of state) {
    if (entry.kind !== 'file') expected.set(path, entry);
    else {
      const isOpen = isUnclosed(entry);
      if (isOpen) open.set(path, entry.live);
      if (!isOpen || entry.closed !== undefined)
        expected.set(path, { kind: 'file', content: entry.closed ?? '', mode: entry.mode });
    }
  }
  const recovered = new Set<string>();
  for (const [path, each] of found) {
    if (expected.has(path)) continue;
    // its name was published because it was open for long
    if (open.has(path) && each.kind === 'file' && each.content === '') continue;
    const base = RECOVERED.exec(path)?.[1];
    if (base === undefined || each.kind !== 'file') return `${path}: is there, and should not be`;
    const written = state.get(base);
    // short texts may be the same as those that they replace
    if (isExact && (written?.kind !== 'file' || written.live !== each.content))
      return `${path}: not what was written to ${base}`;
    recovered.add(base);
  }
  for (const [path, each] of expected) {
    const wrong = differs(each, found.get(path));
    if (wrong !== undefined) return `${path}: ${wrong}`;
  }
  if (!isExact) return undefined;
  for (const path of open.keys()) if (!recovered.has(path)) return `${path}: what was written after its close is gone`;
  return undefined;
}

function asFound(entry: Entry): Found {
  return entry.kind === 'file' ? { kind: 'file', content: entry.live, mode: entry.mode } : entry;
}

function differs(expected: Found | undefined, found: Found | undefined): string | undefined {
  if (expected === undefined) return 'is there, and should not be';
  if (found === undefined) return `is not there; it should be ${show(expected)}`;
  const isSame =
    expected.kind === found.kind &&
    expected.mode === found.mode &&
    (expected.kind !== 'file' || expected.content === (found as typeof expected).content) &&
    (expected.kind !== 'symlink' || expected.target === (found as typeof expected).target);
  return isSame ? undefined : `is ${show(found)}, not ${show(expected)}`;
}

function show(found: Found): string {
  const mode = found.mode.toString(8);
  if (found.kind === 'file')
    return `a file ${mode} of ${found.content.length} bytes ${JSON.stringify(found.content.slice(0, 24))}`;
  return found.kind === 'symlink' ? `a link to ${found.target}` : `a directory ${mode}`;
}
