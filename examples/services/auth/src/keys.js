import { createHash, createPrivateKey } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, exportJWK } from 'jose';

const PEM = /-----BEGIN PRIVATE KEY-----[\s\S]+?-----END PRIVATE KEY-----/g;
const SECRET = /^[!-~]{32,}$/;
// What comes before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410, section 7).
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The key that is made of a secret: what keeps secrets may make passwords only. */
function keyOf(secret) {
  const bytes = createHash('sha256').update(`signs tokens: ${secret}`).digest();
  return createPrivateKey({ key: Buffer.concat([PKCS8, bytes]), format: 'der', type: 'pkcs8' });
}

function privateKeys(text) {
  const pems = text.match(PEM);
  if (pems) return pems.map((pem) => createPrivateKey(pem));
  const secrets = text.split(/[\s,]+/).filter(Boolean);
  if (secrets.length === 0 || !secrets.every((secret) => SECRET.test(secret))) {
    throw new Error('TOKEN_KEYS must be PEM (openssl genpkey -algorithm ed25519) or random characters, at least 32');
  }
  return secrets.map(keyOf);
}

/**
 * The keys of access tokens: Ed25519, each named by its thumbprint (RFC 7638).
 *
 * There may be several while they are changed: the first signs, all are published. A new key is first added at the end, so that every task
 * publishes it before one signs with it; then put in front; and the old one is taken away when its last token has expired.
 */
export class SigningKeys {
  #keys;

  constructor(keys) {
    this.#keys = keys;
    this.published = { keys: keys.map(({ id, jwk }) => ({ ...jwk, kid: id, alg: 'EdDSA', use: 'sig' })) };
    this.verifying = createLocalJWKSet(this.published);
  }

  /**
   * @param {string} text PKCS#8 in PEM, one key after another, as `openssl genpkey -algorithm ed25519` writes them; or secrets of at least
   * 32 random characters, with commas between, each of which a key is made of
   */
  static async from(text) {
    const keys = privateKeys(text).map(async (key) => {
      if (key.asymmetricKeyType !== 'ed25519') throw new Error(`TOKEN_KEYS must be of type ed25519, not ${key.asymmetricKeyType}`);
      const { kty, crv, x } = await exportJWK(key);
      const jwk = { kty, crv, x };
      return { key, jwk, id: await calculateJwkThumbprint(jwk) };
    });
    return new SigningKeys(await Promise.all(keys));
  }

  /** What signs a token: {id, key}. */
  get current() {
    return this.#keys[0];
  }
}
