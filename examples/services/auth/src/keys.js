import { createPrivateKey } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, exportJWK } from 'jose';

const PEM = /-----BEGIN PRIVATE KEY-----[\s\S]+?-----END PRIVATE KEY-----/g;

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

  /** @param {string} text PKCS#8 in PEM, one key after another, as `openssl genpkey -algorithm ed25519` writes them */
  static async from(text) {
    const pems = text.match(PEM) ?? [];
    if (pems.length === 0) throw new Error('TOKEN_KEYS must be PEM: openssl genpkey -algorithm ed25519');
    const keys = pems.map(async (pem) => {
      const key = createPrivateKey(pem);
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
