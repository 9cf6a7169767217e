import { notFound } from '@vahana-example/shared';

/** Whom to write to, and where. */
export class Contacts {
  #database;

  constructor(database) {
    this.#database = database;
  }

  async write(query, { user_id: userId, email, name, phone = null }) {
    await query(
      `INSERT INTO contacts (user_id, email, name, phone) VALUES ($1, $2, $3, $4)
       ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, name = excluded.name, phone = excluded.phone`,
      [userId, email, name, phone],
    );
  }

  devices(userId) {
    return this.#database.query('SELECT id, created_at FROM devices WHERE user_id = $1 ORDER BY created_at', [userId]);
  }

  async addDevice(userId, token) {
    const [device] = await this.#database.query(
      `INSERT INTO devices (user_id, token) VALUES ($1, $2) ON CONFLICT (token) DO UPDATE SET user_id = excluded.user_id
       RETURNING id, created_at`,
      [userId, token],
    );
    return device;
  }

  async removeDevice(userId, id) {
    const [gone] = await this.#database.query('DELETE FROM devices WHERE id = $1 AND user_id = $2 RETURNING id', [id, userId]);
    if (!gone) throw notFound();
  }
}
