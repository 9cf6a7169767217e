import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { AUDIENCE, Problem } from '@vahana-example/shared';
import { SignJWT } from 'jose';

const ACCESS_SECONDS = 900;
const REFRESH_DAYS = 30;

const digestOf = (token) => createHash('sha256').update(token).digest();

/**
 * What a login gives: an access token that every service can check by itself, and a refresh token that only the database knows.
 */
export class Logins {
  #database;
  #keys;
  #issuer;

  constructor(database, keys, issuer) {
    this.#database = database;
    this.#keys = keys;
    this.#issuer = issuer;
  }

  begin(user) {
    return this.#give(this.#database.query.bind(this.#database), user, randomUUID());
  }

  async renew(token) {
    const tokens = await this.#database.transaction(async (query) => {
      const [used] = await query(
        `UPDATE refresh_tokens SET used_at = now() WHERE digest = $1 AND used_at IS NULL AND expires_at > now() RETURNING family, user_id`,
        [digestOf(token)],
      );
      if (!used) {
        await query('DELETE FROM refresh_tokens WHERE family = (SELECT family FROM refresh_tokens WHERE digest = $1)', [digestOf(token)]);
        return undefined;
      }
      // Roles may have changed since.
      const [user] = await query('SELECT id, roles FROM users WHERE id = $1', [used.user_id]);
      return this.#give(query, user, used.family);
    });
    // Not from inside: what was just ended must not be rolled back.
    if (!tokens) throw new Problem(401, 'login_ended', 'this login has ended: log in again');
    return tokens;
  }

  async end(token) {
    await this.#database.query('DELETE FROM refresh_tokens WHERE family = (SELECT family FROM refresh_tokens WHERE digest = $1)', [
      digestOf(token),
    ]);
  }

  async #give(query, user, family) {
    const refreshToken = randomBytes(32).toString('base64url');
    await query('INSERT INTO refresh_tokens (digest, family, user_id, expires_at) VALUES ($1, $2, $3, now() + $4 * interval \'1 day\')', [
      digestOf(refreshToken),
      family,
      user.id,
      REFRESH_DAYS,
    ]);
    const { id, key } = this.#keys.current;
    const accessToken = await new SignJWT({ roles: user.roles })
      .setProtectedHeader({ alg: 'EdDSA', kid: id })
      .setIssuer(this.#issuer)
      .setAudience(AUDIENCE)
      .setSubject(user.id)
      .setIssuedAt()
      .setExpirationTime(`${ACCESS_SECONDS}s`)
      .sign(key);
    return { access_token: accessToken, token_type: 'Bearer', expires_in: ACCESS_SECONDS, refresh_token: refreshToken };
  }

  forget() {
    return this.#database.query('DELETE FROM refresh_tokens WHERE expires_at < now()');
  }
}
