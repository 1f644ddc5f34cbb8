import { readFile } from 'node:fs/promises';

/** The version in package.json. */
export async function readVersion(): Promise<string> {
  const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}

/** As this program calls itself among nodes. */
export async function programVersion(): Promise<string> {
  return `tahoe-ts/${await readVersion()}`;
}
