/** Where others reach this node: `[node] tub.port` and `tub.location` of tahoe.cfg, or what is found out. */
import { networkInterfaces } from 'node:os';
import { TahoeError } from '../errors/tahoe-error.js';
import { type Endpoint, freePorts, parseEndpoint, serializeEndpoint } from './endpoint.js';
import type { NodeDirectory } from './node-directory.js';
import type { TahoeConfig } from './tahoe-config.js';

const KEPT_PORT = 'client.port';
const EVERY_INTERFACE = new Set(['0.0.0.0', '::']);

export interface TubLocation {
  readonly host: string;
  readonly port: number;
}

/**
 * The configured port; without one, a free one that is kept in `client.port`, as its clients remember it. Kind
 * `invalid` if the node listens to nobody, or for what that file says.
 */
export async function tubPortOf(directory: NodeDirectory, { tubPort }: TahoeConfig): Promise<Endpoint> {
  if (tubPort === 'disabled') {
    throw invalid(
      'a storage server needs a port: in tahoe.cfg, [node] tub.port and tub.location are disabled',
      directory,
    );
  }
  if (tubPort !== undefined) return tubPort;
  const kept = await directory.read(KEPT_PORT);
  if (kept === undefined) {
    const [port = 0] = await freePorts(1);
    const endpoint = { port, host: undefined };
    await directory.write(KEPT_PORT, `${serializeEndpoint(endpoint)}\n`);
    return endpoint;
  }
  const endpoint = parseEndpoint(kept);
  if (endpoint === undefined) throw invalid(`${KEPT_PORT} does not hold a port: ${kept.trim()}`, directory);
  return endpoint;
}

/** The configured location; without one, the address of this computer in its network, or loopback if it has none. */
export function tubLocationOf({ tubLocation }: TahoeConfig, { port, host }: Endpoint): TubLocation {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(tubLocation ?? '');
  if (match !== null) return { host: match[1] ?? match[2]!, port: Number(match[3]) };
  return { host: host === undefined || EVERY_INTERFACE.has(host) ? ownAddress() : host, port };
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}

function invalid(message: string, directory: NodeDirectory): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'node.start', subject: directory.path });
}
