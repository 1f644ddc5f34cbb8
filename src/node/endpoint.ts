/** Addresses to listen on, in the notation of tahoe.cfg: `tcp:PORT[:interface=HOST]` or a bare port. */
import { createServer } from 'node:net';
import { TahoeError } from '../errors/tahoe-error.js';

export interface Endpoint {
  /** 0: chosen by the kernel. */
  readonly port: number;
  /** Undefined: every interface. */
  readonly host: string | undefined;
}

/** Undefined for anything else. A colon inside the host of an IPv6 address is written `\:`. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:tcp:)?(\d{1,5})(?::interface=((?:\\:|[^:])+))?$/.exec(text.trim());
  const port = Number(match?.[1]);
  return match === null || port > 65_535 ? undefined : { port, host: match[2]?.replaceAll('\\:', ':') };
}

export function serializeEndpoint(endpoint: Endpoint): string {
  const host = endpoint.host?.replaceAll(':', '\\:');
  return host === undefined ? `tcp:${endpoint.port}` : `tcp:${endpoint.port}:interface=${host}`;
}

/** Below the range from which Linux takes ports for outgoing connections, so that a port stays free between two runs. */
const FIRST_PORT = 20_000;
const PORT_COUNT = 12_000;

/** `count` different ports of the loopback interface on which nobody listens now. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let attempt = 0; found.size < count; attempt++) {
    if (attempt > count + PORT_COUNT) {
      throw new TahoeError(`no ${count} free ports from ${FIRST_PORT} to ${FIRST_PORT + PORT_COUNT - 1}`, {
        kind: 'busy',
        op: 'node.create',
      });
    }
    const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  return [...found];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  });
}
