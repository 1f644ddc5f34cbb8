/**
 * Every section and key that the reference allows in tahoe.cfg (configuration spec 12). Anything else is a mistake and
 * refused with its line, and so is a setting that asks for something this program does not do; what makes no difference
 * to what is stored and who can read it may stand there.
 */
import { TahoeError } from '../errors/tahoe-error.js';
import type { IniFile } from './ini-file.js';

/** An introducer has fewer settings. */
export type NodeType = 'client' | 'introducer';

/** `used`: read by tahoe-config. `ignored`: any value may stand there. Otherwise only the values that ask for nothing. */
type Setting = 'used' | 'ignored' | { readonly onlyIf: (value: string) => boolean; readonly because: string };

type Settings = Readonly<Record<string, Setting>>;

const NO_ANONYMITY = 'this program does not use Tor or I2P';
const NO_PLUGINS = 'this program has no storage plugins';
const HTTPS_ONLY = 'this program speaks the storage protocol over HTTPS only';
const NO_GRID_MANAGER = 'this program does not check or send the certificates of grid managers';

const NODE: Settings = {
  'log_gatherer.furl': 'ignored',
  nickname: 'used',
  'reveal-ip-address': { onlyIf: isOn, because: `${NO_ANONYMITY}, it cannot hide its address` },
  tempdir: 'used',
  'timeout.disconnect': 'ignored',
  'timeout.keepalive': 'ignored',
  'tub.location': 'used',
  'tub.port': 'used',
  'web.port': 'used',
  'web.static': 'ignored',
};

const CONNECTIONS: Settings = {
  tcp: { onlyIf: (value) => value.toLowerCase() === 'tcp', because: `${NO_ANONYMITY}, only tcp can stand here` },
};

const TOR: Settings = {
  ...ignored('control.port', 'enabled', 'launch', 'socks.port', 'tor.executable'),
  ...ignored('onion.local_port', 'onion.external_port', 'onion.private_key_file'),
  onion: { onlyIf: isOff, because: NO_ANONYMITY },
};

const I2P: Settings = {
  ...ignored('enabled', 'i2p.configdir', 'i2p.executable', 'launch', 'sam.port', 'dest.port', 'dest.private_key_file'),
  dest: { onlyIf: isOff, because: NO_ANONYMITY },
};

const CLIENT: Settings = {
  'helper.furl': 'ignored',
  'introducer.furl': 'used',
  'key_generator.furl': 'ignored',
  'mutable.format': 'used',
  // Without effect in the reference too: a client that obeyed it would not find what that one wrote.
  'peers.preferred': 'ignored',
  'shares.happy': 'used',
  'shares.needed': 'used',
  'shares.total': 'used',
  'shares._max_immutable_segment_size_for_testing': 'used',
  'storage.plugins': { onlyIf: isEmpty, because: NO_PLUGINS },
  force_foolscap: { onlyIf: isOff, because: HTTPS_ONLY },
};

const STORAGE: Settings = {
  anonymous: { onlyIf: isOn, because: NO_PLUGINS },
  debug_discard: { onlyIf: isOff, because: 'this program throws no shares away' },
  enabled: 'used',
  'expire.enabled': { onlyIf: isOff, because: 'this program does not delete shares whose leases have expired' },
  ...ignored('expire.cutoff_date', 'expire.immutable', 'expire.mode', 'expire.mutable'),
  'expire.override_lease_duration': 'ignored',
  force_foolscap: { onlyIf: isOff, because: HTTPS_ONLY },
  grid_management: { onlyIf: isOff, because: NO_GRID_MANAGER },
  plugins: { onlyIf: isEmpty, because: NO_PLUGINS },
  readonly: 'used',
  reserved_space: 'used',
  storage_dir: 'used',
};

const SFTPD: Settings = {
  'accounts.file': 'used',
  enabled: 'used',
  host_privkey_file: 'used',
  host_pubkey_file: 'ignored',
  port: 'used',
};

const HELPER: Settings = {
  enabled: { onlyIf: isOff, because: 'this program does not upload for others' },
};

const INTRODUCER_SECTIONS: ReadonlyMap<string, Settings> = new Map([
  ['node', NODE],
  ['connections', CONNECTIONS],
  ['tor', TOR],
  ['i2p', I2P],
]);

const CLIENT_SECTIONS: ReadonlyMap<string, Settings> = new Map([
  ...INTRODUCER_SECTIONS,
  ['client', CLIENT],
  ['storage', STORAGE],
  ['sftpd', SFTPD],
  ['helper', HELPER],
]);

/** Their keys are free, but any key there asks for something. */
const CERTIFICATE_SECTIONS = new Set(['grid_managers', 'grid_manager_certificates']);
/** Matter only to plugins that another key turns on. */
const PLUGIN_SECTION = /^storage(server|client)\.plugins\./;

/** Kinds `invalid` for what nobody knows, `unsupported` for what we do not do; both name file, line and key. */
export function checkSettings(file: IniFile, type: NodeType): void {
  const sections = type === 'client' ? CLIENT_SECTIONS : INTRODUCER_SECTIONS;
  for (const { name } of file.sections()) {
    const free = type === 'client' && (CERTIFICATE_SECTIONS.has(name) || PLUGIN_SECTION.test(name));
    if (!free && !sections.has(name)) throw file.wrongSection(name, `is not a section of a tahoe.cfg (${type})`);
  }
  for (const { section, key } of file.entries()) checkSetting(file, sections.get(section), section, key);
}

function checkSetting(file: IniFile, settings: Settings | undefined, section: string, key: string): void {
  if (settings === undefined) {
    if (CERTIFICATE_SECTIONS.has(section)) throw unsupported(file.wrongValue(section, key, `: ${NO_GRID_MANAGER}`));
    return;
  }
  const setting = Object.hasOwn(settings, key) ? settings[key] : undefined;
  if (setting === undefined) throw file.wrongValue(section, key, 'is not a key of this section');
  const value = file.text(section, key) ?? '';
  if (key.endsWith('.furl') && value.includes('#')) {
    throw file.wrongValue(section, key, 'contains "#": a comment needs a line of its own');
  }
  if (typeof setting === 'string' || setting.onlyIf(value)) return;
  throw unsupported(file.wrongValue(section, key, `= ${value}: ${setting.because}`));
}

function unsupported({ message, op, subject }: TahoeError): TahoeError {
  return new TahoeError(message, { kind: 'unsupported', op, subject });
}

function ignored(...keys: readonly string[]): Settings {
  return Object.fromEntries(keys.map((key) => [key, 'ignored'] as const));
}

function isEmpty(value: string): boolean {
  return value === '';
}

const ON = new Set(['true', 'yes', 'on', '1']);
const OFF = new Set(['false', 'no', 'off', '0']);

/** As the reference reads them; undefined for any other word. */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (ON.has(word)) return true;
  return OFF.has(word) ? false : undefined;
}

function isOn(value: string): boolean {
  return parseBoolean(value) === true;
}

function isOff(value: string): boolean {
  return parseBoolean(value) === false;
}
