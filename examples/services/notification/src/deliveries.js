import { describeError, log, Loop } from '@vahana-example/shared';
import { messagesOf } from './templates.js';

const PAGE_SIZE = 20;
const BATCH = 10;
const SWEEP_MS = 5000;
const MAX_ATTEMPTS = 8;
const COLUMNS = 'id, event, channel, subject, text, status, created_at, sent_at';

/**
 * Messages to people: written with the event that they tell of, sent after that, tried again later and later while that fails.
 *
 * A message is sent twice only when a process dies between sending it and writing that down: neither SES nor SNS can be told to send
 * something once.
 */
export class Deliveries {
  #database;
  #senders;
  #loop;

  constructor({ database, senders, sweepMs = SWEEP_MS }) {
    this.#database = database;
    this.#senders = senders;
    this.#loop = new Loop('deliveries', () => this.#sendAll(), sweepMs);
  }

  start() {
    this.#loop.start();
  }

  stop() {
    return this.#loop.stop();
  }

  kick() {
    this.#loop.kick();
  }

  async list(userId, page) {
    const [{ total }] = await this.#database.query('SELECT count(*) AS total FROM notifications WHERE user_id = $1', [userId]);
    const items = await this.#database.query(
      `SELECT ${COLUMNS} FROM notifications WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT ${PAGE_SIZE} OFFSET ${(page - 1) * PAGE_SIZE}`,
      [userId],
    );
    return { items, page, page_size: PAGE_SIZE, total };
  }

  /** Writes down whom to tell what of an event. */
  async write(query, data, event) {
    const [contact] = await query('SELECT email, name, phone FROM contacts WHERE user_id = $1', [data.user_id]);
    // Events come in no order: that somebody signed up may come after what they did. This one comes again.
    if (!contact) throw new Error(`user ${data.user_id} is not known yet`);
    const devices = await query('SELECT token FROM devices WHERE user_id = $1', [data.user_id]);
    for (const { channel, recipient, subject, text } of messagesOf(event.type, data, contact, devices)) {
      await query(
        `INSERT INTO notifications (event_id, event, user_id, channel, recipient, subject, text) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT DO NOTHING`,
        [event.id, event.type, data.user_id, channel, recipient, subject, text],
      );
    }
  }

  async #sendAll() {
    let taken;
    do {
      taken = await this.#database.query(
        `UPDATE notifications SET attempts = attempts + 1, taken_until = now() + interval '1 second' * 30 * 2 ^ least(attempts, 7)
         WHERE id IN (SELECT id FROM notifications WHERE status = 'waiting' AND taken_until <= now() ORDER BY created_at LIMIT ${BATCH}
                      FOR UPDATE SKIP LOCKED)
         RETURNING id, channel, recipient, subject, text, attempts`,
      );
      await Promise.all(taken.map((message) => this.#send(message)));
    } while (taken.length === BATCH);
  }

  async #send({ attempts, channel, ...message }) {
    try {
      await this.#senders[channel](message);
    } catch (error) {
      const hopeless = error.name === 'RefusedError' || attempts >= MAX_ATTEMPTS;
      log.warn(hopeless ? 'a message is given up' : 'a message is tried again later', {
        notification_id: message.id,
        channel,
        attempts,
        ...describeError(error),
      });
      await this.#database.query('UPDATE notifications SET status = $2, error = $3 WHERE id = $1', [
        message.id,
        hopeless ? 'failed' : 'waiting',
        error.message.slice(0, 500),
      ]);
      return;
    }
    await this.#database.query("UPDATE notifications SET status = 'sent', sent_at = now(), error = NULL WHERE id = $1", [message.id]);
  }
}
