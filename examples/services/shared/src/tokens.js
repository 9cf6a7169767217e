import { createRemoteJWKSet, customFetch, errors, jwtVerify, SignJWT } from 'jose';
import { describeError, log } from './log.js';
import { Problem, unavailable } from './problem.js';

export const AUDIENCE = 'vahana-services';
const ALGORITHM = 'EdDSA';
const KEYS_TIMEOUT_MS = 5000;
/** Clocks of two hosts may differ by this. */
const CLOCK_SECONDS = 5;
const SERVICE_TOKEN_SECONDS = 60;

const unauthorized = (detail) => new Problem(401, 'unauthorized', detail, { headers: { 'WWW-Authenticate': 'Bearer' } });

function bearerToken(request) {
  const [, token] = /^Bearer ([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) throw unauthorized('log in and send the access token: Authorization: Bearer …');
  return token;
}

/** The public keys of auth, from the other end of the network. */
export function remoteKeys(url) {
  const keys = createRemoteJWKSet(new URL(`${url}/api/auth/jwks.json`), {
    timeoutDuration: KEYS_TIMEOUT_MS,
    // Kept for good: who has logged in goes on working while auth is away. A key that is not known is asked for, and what auth then
    // answers replaces all.
    cacheMaxAge: Infinity,
    cooldownDuration: 5000,
    // Whatever keeps the keys away is not the client's fault.
    [customFetch]: async (...request) => {
      try {
        const response = await fetch(...request);
        if (response.status === 200) return response;
        throw new Error(`auth answered ${response.status}`);
      } catch (error) {
        throw unavailable('auth', error);
      }
    },
  });
  // At the start, so that the first request does not wait for it, and is served should auth be away by then.
  keys.reload().catch((error) => log.warn('the keys of auth are not known yet', describeError(error)));
  return keys;
}

/**
 * Who sends a request, by the access token that auth gave them.
 *
 * @param {Function} keys as jose has them: remoteKeys(), or createLocalJWKSet() in auth itself
 * @param {string} issuer
 * @returns {(request: import('node:http').IncomingMessage) => Promise<{id: string, roles: string[]}>}
 */
export function userAuthentication(keys, issuer) {
  return async (request) => {
    const token = bearerToken(request);
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: AUDIENCE,
        algorithms: [ALGORITHM],
        clockTolerance: CLOCK_SECONDS,
        requiredClaims: ['sub', 'exp'],
      });
      return { id: payload.sub, roles: payload.roles ?? [] };
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw unauthorized('the access token has expired: refresh it');
      if (error instanceof errors.JOSEError) throw unauthorized('the access token is not valid');
      throw error;
    }
  };
}

/**
 * Tokens by which services know each other: short, for one receiver, signed with a secret that only they have. Such a request comes past the
 * front door, which leads to no address that takes one.
 */
export class ServiceTokens {
  #name;
  #secrets;

  /** @param {string[]} secrets the first signs, all are accepted */
  constructor(name, secrets) {
    this.#name = name;
    this.#secrets = secrets.map((secret) => new TextEncoder().encode(secret));
  }

  /** @param {string} receiver name of the service */
  sign(receiver) {
    return new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(this.#name)
      .setAudience(receiver)
      .setIssuedAt()
      .setExpirationTime(`${SERVICE_TOKEN_SECONDS}s`)
      .sign(this.#secrets[0]);
  }

  /** @returns {Promise<string>} the name of the service that sends a request */
  async verify(request) {
    const token = bearerToken(request);
    for (const secret of this.#secrets) {
      try {
        const options = { audience: this.#name, algorithms: ['HS256'], clockTolerance: CLOCK_SECONDS, requiredClaims: ['iss', 'exp'] };
        return (await jwtVerify(token, secret, options)).payload.iss;
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
      }
    }
    throw unauthorized('this address is for other services only');
  }
}
