/** The line of `ls -l` that a NAME reply carries beside the attributes; clients show it to people as it is. */
import type { Attributes, FileKind } from '../src/vfs/vfs.js';

/** Names of numeric users and groups, as in /etc/passwd and /etc/group; undefined where there is none. */
export interface OwnerNames {
  user(uid: number): string | undefined;
  group(gid: number): string | undefined;
}

/** Names from the texts of /etc/passwd and /etc/group (or files in their form); lines in other forms are skipped. */
export function parseOwnerNames(passwd: string, group: string): OwnerNames {
  const users = namesById(passwd);
  const groups = namesById(group);
  return { user: (uid) => users.get(uid), group: (gid) => groups.get(gid) };
}

/** `name:password:number:...` a line; the first name of a number counts. */
function namesById(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id && /^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}

const kindLetter: Readonly<Record<FileKind, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  'character-device': 'c',
  'block-device': 'b',
};

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const halfYearMs = 182 * 24 * 3600 * 1000;

/** `nowMs` decides, as in ls, between the time of day (the last half year) and the year. */
export function longName(name: string, attributes: Attributes, names: OwnerNames, nowMs: number): string {
  return [
    kindLetter[attributes.kind] + permissionLetters(attributes.mode),
    String(attributes.links).padStart(4),
    (names.user(attributes.uid) ?? String(attributes.uid)).padEnd(8),
    (names.group(attributes.gid) ?? String(attributes.gid)).padEnd(8),
    String(attributes.sizeBytes).padStart(8),
    dateColumns(attributes.modified.seconds * 1000, nowMs),
    name,
  ].join(' ');
}

function permissionLetters(mode: number): string {
  const triple = (bits: number, special: boolean, letter: string) =>
    (bits & 4 ? 'r' : '-') +
    (bits & 2 ? 'w' : '-') +
    (special ? (bits & 1 ? letter : letter.toUpperCase()) : bits & 1 ? 'x' : '-');
  return (
    triple((mode >> 6) & 7, (mode & 0o4000) !== 0, 's') +
    triple((mode >> 3) & 7, (mode & 0o2000) !== 0, 's') +
    triple(mode & 7, (mode & 0o1000) !== 0, 't')
  );
}

/** Local time of the server, as every SFTP server shows it. */
function dateColumns(timeMs: number, nowMs: number): string {
  const date = new Date(timeMs);
  if (Number.isNaN(date.getTime())) return '?'.padStart(12);
  const day = `${months[date.getMonth()]!} ${String(date.getDate()).padStart(2)}`;
  const recent = timeMs <= nowMs && timeMs > nowMs - halfYearMs;
  if (!recent) return `${day}  ${date.getFullYear()}`;
  return `${day} ${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
}
