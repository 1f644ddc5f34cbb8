import ssh2, { type AuthContext, type PublicKeyAuthContext } from 'ssh2';
import { bytesEqual } from '../src/encoding/bytes.js';
import type { Account, Accounts } from './accounts.js';
import { isSecurityKeyType, verifySecurityKeySignature } from './security-key-signature.js';

/**
 * One attempt of a client: the account if a signature proves one of its keys, `ask-signature` if the key would do, undefined
 * otherwise. Public keys only. RSA with SHA-1 is refused. Rejects as Accounts.find.
 */
export async function authenticate(
  accounts: Accounts,
  context: AuthContext,
): Promise<Account | 'ask-signature' | undefined> {
  if (context.method !== 'publickey') return undefined;
  const account = await accounts.find(context.username);
  const key = account?.keys.find(({ blob }) => bytesEqual(blob, context.key.data));
  if (account === undefined || key === undefined || key.type !== context.key.algo) return undefined;
  if (key.type === 'ssh-rsa' && context.hashAlgo === undefined) return undefined;
  if (context.signature === undefined) return 'ask-signature';
  return verifies(key.type, context) ? account : undefined;
}

function verifies(type: string, { blob, signature, key, hashAlgo }: PublicKeyAuthContext): boolean {
  if (blob === undefined || signature === undefined) return false;
  if (isSecurityKeyType(type)) return verifySecurityKeySignature(key.data, blob, signature);
  const parsed = ssh2.utils.parseKey(`${type} ${key.data.toString('base64')}`);
  // an answer other than true (ssh2 returns an Error for a malformed signature) is no proof
  return !(parsed instanceof Error) && parsed.verify(blob, signature, hashAlgo) === true;
}
