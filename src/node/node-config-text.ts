/** The tahoe.cfg of new nodes. */
import { serializeHost } from '../storage-protocol/nurl.js';
import { type Endpoint, serializeEndpoint } from './endpoint.js';
import { DEFAULT_HOST_KEY_FILE, serializeTahoeConfig } from './tahoe-config.js';

export interface EncodingNumbers {
  readonly sharesNeeded: number;
  readonly sharesHappy: number;
  readonly sharesTotal: number;
}

export interface ClientConfigOptions {
  readonly nickname: string;
  /** As in tahoe.cfg; `none` for no web server. */
  readonly webPort: string;
  readonly encoding: EncodingNumbers;
  /** Undefined: no SFTP server. */
  readonly sftpPort: Endpoint | undefined;
}

export function clientConfigText({ nickname, webPort, encoding, sftpPort }: ClientConfigOptions): string {
  return serializeTahoeConfig({
    node: {
      nickname,
      'web.port': webPort === 'none' ? '' : webPort,
      'tub.port': 'disabled',
      'tub.location': 'disabled',
    },
    client: {
      'shares.needed': String(encoding.sharesNeeded),
      'shares.happy': String(encoding.sharesHappy),
      'shares.total': String(encoding.sharesTotal),
    },
    storage: { enabled: 'false' },
    sftpd:
      sftpPort === undefined
        ? { enabled: 'false' }
        : {
            enabled: 'true',
            port: serializeEndpoint(sftpPort),
            'accounts.file': 'private/accounts',
            // The reference does not start without these two; ours makes the files at its first start.
            host_pubkey_file: `${DEFAULT_HOST_KEY_FILE}.pub`,
            host_privkey_file: DEFAULT_HOST_KEY_FILE,
          },
  });
}

export interface StorageConfigOptions {
  readonly nickname: string;
  readonly port: Endpoint;
  /** The host under which clients reach it. */
  readonly hostname: string;
  readonly reservedSpace: string;
}

export function storageConfigText({ nickname, port, hostname, reservedSpace }: StorageConfigOptions): string {
  return serializeTahoeConfig({
    node: {
      nickname,
      'web.port': '',
      'tub.port': serializeEndpoint(port),
      'tub.location': `tcp:${serializeHost(hostname)}:${port.port}`,
    },
    storage: { enabled: 'true', reserved_space: reservedSpace },
  });
}

export interface IntroducerConfigOptions {
  readonly nickname: string;
  readonly port: Endpoint;
  /** The host under which clients reach it. */
  readonly hostname: string;
}

export function introducerConfigText({ nickname, port, hostname }: IntroducerConfigOptions): string {
  return serializeTahoeConfig({
    node: {
      nickname,
      'web.port': '',
      'tub.port': serializeEndpoint(port),
      'tub.location': `tcp:${serializeHost(hostname)}:${port.port}`,
    },
  });
}
