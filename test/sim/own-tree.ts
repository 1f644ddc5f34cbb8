/** Changes of a tree in the model, as POSIX has them. */
import type { Entry, TreeState } from './own-model.js';
import { parentOf } from './vfs-calls.js';

export function withEntry(state: TreeState, path: string, entry: Entry): TreeState {
  return new Map(state).set(path, entry);
}

export function without(state: TreeState, path: string): TreeState {
  const next = new Map(state);
  next.delete(path);
  return next;
}

/** Undefined if it is not possible. */
export function renamed(
  state: TreeState,
  from: string,
  to: string,
  mode: 'replace' | 'no-replace' | 'exchange',
): TreeState | undefined {
  const moved = state.get(from);
  const standing = state.get(to);
  if (moved === undefined || state.get(parentOf(to))?.kind !== 'directory') return undefined;
  if (from === to) return state;
  if (mode === 'exchange') {
    if (standing === undefined || parentOf(from) !== parentOf(to)) return undefined;
    return new Map([...state].map(([path, entry]) => [exchanged(path, from, to), entry]));
  }
  if (isBelow(to, from) || (mode === 'no-replace' && standing !== undefined)) return undefined;
  if (standing !== undefined && (standing.kind === 'directory') !== (moved.kind === 'directory')) return undefined;
  if (standing?.kind === 'directory' && [...state.keys()].some((path) => isBelow(path, to))) return undefined;
  const next = new Map<string, Entry>();
  for (const [path, entry] of state) {
    if (path !== to) next.set(path === from || isBelow(path, from) ? to + path.slice(from.length) : path, entry);
  }
  return next;
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`);
}

function exchanged(path: string, a: string, b: string): string {
  if (path === a || isBelow(path, a)) return b + path.slice(a.length);
  if (path === b || isBelow(path, b)) return a + path.slice(b.length);
  return path;
}
