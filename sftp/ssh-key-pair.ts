import ssh2 from 'ssh2';

export interface SshKeyPair {
  /** OpenSSH format, without passphrase. */
  readonly privateKey: string;
  /** `ssh-ed25519 BASE64 COMMENT` */
  readonly publicKey: string;
}

/**
 * A new ed25519 key pair in OpenSSH's format. About one in 300 that the library makes cannot be read by anybody, itself
 * included, so each is read back before it is given out.
 */
export function generateSshKeyPair(comment: string): SshKeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    const isReadable = [pair.private, pair.public].every((text) => !(ssh2.utils.parseKey(text) instanceof Error));
    if (isReadable) return { privateKey: pair.private, publicKey: pair.public };
  }
}
