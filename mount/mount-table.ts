import fs from 'node:fs/promises';

export interface MountedFileSystem {
  /** `major:minor` of its device number. */
  readonly device: string;
  readonly mountpoint: string;
  readonly type: string;
}

/** What is mounted at exactly this path, the uppermost if several are; asks only the kernel's table, never the file system. */
export async function mountedAt(path: string): Promise<MountedFileSystem | undefined> {
  return parseMountInfo(await fs.readFile('/proc/self/mountinfo', 'utf8')).findLast(
    (mounted) => mounted.mountpoint === path,
  );
}

/** Lines of /proc/self/mountinfo (proc(5)); lines of another form are left out. */
export function parseMountInfo(text: string): MountedFileSystem[] {
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const fields = before?.split(' ') ?? [];
    const [device, mountpoint, type] = [fields[2], fields[4], after?.split(' ')[0]];
    if (device === undefined || mountpoint === undefined || type === undefined) return [];
    return [{ device, mountpoint: unescapePath(mountpoint), type }];
  });
}

/** Space, tab, newline and backslash are written as three octal digits. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
