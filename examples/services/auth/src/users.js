import { Problem } from '@vahana-example/shared';
import { hashPassword, isPassword } from './passwords.js';

const COLUMNS = 'id, email, name, phone, roles, created_at';
export const ROLES = ['adjuster'];

export const fold = (email) => email.normalize('NFC').toLowerCase();

export class Users {
  #database;
  #outbox;
  #cost;
  #nobody;

  constructor(database, outbox, cost) {
    this.#database = database;
    this.#outbox = outbox;
    this.#cost = cost;
  }

  async create({ email, password, name, phone = null }) {
    const hash = await hashPassword(password, this.#cost);
    const user = await this.#database.transaction(async (query) => {
      const [made] = await query(
        `INSERT INTO users (email, name, phone, password) VALUES ($1, $2, $3, $4) ON CONFLICT (email) DO NOTHING RETURNING ${COLUMNS}`,
        [fold(email), name.trim(), phone, hash],
      );
      if (!made) throw new Problem(409, 'email_taken', 'there is an account with this address: log in');
      // Whoever writes to people keeps their addresses by itself.
      const data = { user_id: made.id, email: made.email, name: made.name, phone };
      await this.#outbox.write(query, ['notification'], 'user.signed_up', data);
      return made;
    });
    this.#outbox.kick();
    return user;
  }

  async get(id) {
    const [user] = await this.#database.query(`SELECT ${COLUMNS} FROM users WHERE id = $1`, [id]);
    if (!user) throw new Problem(401, 'unauthorized', 'this account is gone');
    return user;
  }

  /** @returns {Promise<object | undefined>} the user if it is their password; finding out takes as long where there is no such user */
  async withPassword(email, password) {
    const [user] = await this.#database.query('SELECT id, roles, password FROM users WHERE email = $1', [fold(email)]);
    this.#nobody ??= await hashPassword('', this.#cost);
    return (await isPassword(password, user?.password ?? this.#nobody)) ? user : undefined;
  }
}
