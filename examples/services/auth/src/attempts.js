import { createHash } from 'node:crypto';
import { Problem } from '@vahana-example/shared';
import { fold } from './users.js';

const WINDOW_SECONDS = 900;
/**
 * How many wrong passwords there may be in that time: for one account from one address; for one account from anywhere, more, since
 * that lets strangers lock someone out; from one address for any account, more again, since many people may share one.
 */
const LIMITS = { both: 5, account: 50, address: 100 };

const digest = (...parts) => createHash('sha256').update(JSON.stringify(parts)).digest();

/** Limits how fast passwords can be guessed. In the database, so that all tasks count together. */
export class Attempts {
  #database;

  constructor(database) {
    this.#database = database;
  }

  /**
   * @param {() => Promise<object | undefined>} prove gives the user when the password is right
   * @returns {Promise<object>} the user
   * @throws {Problem} 401, 429
   */
  async limited(email, address, prove) {
    const account = fold(email);
    const keys = { both: digest('both', account, address), account: digest('account', account), address: digest('address', address) };
    // Counted before, so that those who try at the same time are all counted; what was right is taken off again.
    const counts = await this.#count(Object.values(keys));
    for (const [name, limit] of Object.entries(LIMITS)) {
      const { count, seconds } = counts.get(keys[name].toString('hex'));
      if (count > limit) {
        throw new Problem(429, 'too_many_attempts', 'too many wrong passwords; try again later', { headers: { 'Retry-After': String(seconds) } });
      }
    }
    const user = await prove();
    if (!user) throw new Problem(401, 'wrong_credentials', 'address or password is wrong');
    await this.#database.query('DELETE FROM login_attempts WHERE key = $1', [keys.both]);
    for (const key of [keys.account, keys.address]) {
      await this.#database.query('UPDATE login_attempts SET count = count - 1 WHERE key = $1', [key]);
    }
    return user;
  }

  async #count(keys) {
    // In one order, so that two requests never wait for each other.
    const ordered = keys.toSorted(Buffer.compare);
    const rows = await this.#database.query(
      `INSERT INTO login_attempts AS known (key, count, ends_at)
       SELECT key, 1, now() + $2 * interval '1 second' FROM unnest($1::bytea[]) AS key
       ON CONFLICT (key) DO UPDATE SET
         count = CASE WHEN known.ends_at <= now() THEN 1 ELSE known.count + 1 END,
         ends_at = CASE WHEN known.ends_at <= now() THEN excluded.ends_at ELSE known.ends_at END
       RETURNING key, count, ceil(extract(epoch FROM ends_at - now()))::integer AS seconds`,
      [ordered, WINDOW_SECONDS],
    );
    return new Map(rows.map(({ key, ...row }) => [key.toString('hex'), row]));
  }

  forget() {
    return this.#database.query('DELETE FROM login_attempts WHERE ends_at < now()');
  }
}
