/** Directories as the web API of either implementation describes them (web API spec 7.2). */
import { ask, type WebApi } from './web-api.js';

export type ChildJson = readonly [type: string, fields: Readonly<Record<string, unknown>>];
export type Listing = Readonly<Record<string, ChildJson>>;

export async function listDirectory(client: WebApi, cap: string): Promise<Listing> {
  const [type, { children }] = JSON.parse(await ask(client, 'GET', `uri/${cap}?t=json`)) as [
    string,
    { children: Listing },
  ];
  if (type !== 'dirnode') throw new Error(`a ${type} and no directory`);
  return children;
}

/** What both say of a child; metadata and the states of things are each implementation's own. */
export function capsIn(listing: Listing): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(listing).map(([name, [type, fields]]) => {
      const { rw_uri, ro_uri, mutable, format } = fields;
      // What nobody understands has only what it can be recognised by.
      return [name, type === 'unknown' ? { type } : { type, rw_uri, ro_uri, mutable, format }];
    }),
  );
}

/** All that the directory itself says of its children but these. */
export function childrenExcept(listing: Listing, names: readonly string[]): Record<string, ChildJson> {
  const others = Object.entries(listing).filter(([name]) => !names.includes(name));
  return Object.fromEntries(
    others.map(([name, [type, fields]]) => {
      // Of a mutable file it is what the node happens to remember.
      const { size: _size, ...rest } = fields;
      return [name, [type, rest]];
    }),
  );
}
