import { notFound, Problem } from '@vahana-example/shared';

const FIELDS = ['user_id', 'amount', 'reference', 'description', 'expires_at'];
const COLUMNS = `id, user_id, amount, 'INR' AS currency, reference, description, status, decline_reason, refunded, expires_at, created_at`;

const conflict = (code, detail) => new Problem(409, code, detail);
const sameTime = (one, other) => new Date(one).getTime() === new Date(other).getTime();

/** What is to be paid. `orders` (orders.js) does what the provider is needed for. */
export class Intents {
  #database;
  #orders;

  constructor(database, orders) {
    this.#database = database;
    this.#orders = orders;
  }

  /** Makes an intent, or gives the one that the key made. */
  async create(service, key, input) {
    const values = [service, key, ...FIELDS.map((name) => input[name])];
    const [made] = await this.#database.query(
      `INSERT INTO intents (service, idempotency_key, ${FIELDS.join(', ')}) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (service, idempotency_key) DO NOTHING RETURNING ${COLUMNS}`,
      values,
    );
    if (made) return made;
    const [known] = await this.#database.query(`SELECT ${COLUMNS} FROM intents WHERE service = $1 AND idempotency_key = $2`, [service, key]);
    const same = FIELDS.every((name) => (name === 'expires_at' ? sameTime(known[name], input[name]) : known[name] === input[name]));
    if (!same) throw conflict('key_reused', 'this key was used for another payment');
    return known;
  }

  list(userId) {
    return this.#database.query(`SELECT ${COLUMNS} FROM intents WHERE user_id = $1 ORDER BY created_at DESC LIMIT 100`, [userId]);
  }

  async get(userId, id, query = this.#database.query.bind(this.#database), lock = '') {
    const [intent] = await query(`SELECT ${COLUMNS} FROM intents WHERE id = $1 AND user_id = $2 ${lock}`, [id, userId]);
    if (!intent) throw notFound();
    return intent;
  }

  /**
   * Charges the payment method; once for each key, whatever happens between.
   *
   * @returns {Promise<object>} the intent: succeeded, or processing when the provider has not said yet
   * @throws {Problem} 402 when it was declined, 404, 409, 410
   */
  async confirm(userId, id, key, method) {
    const { charge, fresh } = await this.#database.transaction(async (query) => {
      const intent = await this.get(userId, id, query, 'FOR UPDATE');
      const [known] = await query('SELECT * FROM orders WHERE intent_id = $1 AND idempotency_key = $2', [id, key]);
      if (known) {
        if (known.payment_method !== method) throw conflict('key_reused', 'this key was used with another payment method');
        return { charge: known, fresh: false };
      }
      if (intent.status === 'succeeded') throw conflict('already_paid', 'this is paid already');
      if (intent.status === 'processing') throw conflict('payment_in_progress', 'the provider has not said yet what became of the last try');
      if (Date.parse(intent.expires_at) <= Date.now()) throw new Problem(410, 'expired', 'this could be paid until a while ago');
      const made = await this.#orders.write(query, { intent_id: id, kind: 'charge', amount: intent.amount, payment_method: method, idempotency_key: key });
      await query("UPDATE intents SET status = 'processing', decline_reason = NULL WHERE id = $1", [id]);
      return { charge: made, fresh: true };
    });
    const { status, reason } = fresh ? await this.#orders.carryOut(charge) : charge;
    if (status === 'declined') throw new Problem(402, 'payment_declined', `the payment was declined: ${reason}`);
    return this.get(userId, id);
  }

  /** Refunds a part or all of what was paid, as the service says that asked for the payment. */
  async refund(query, { intent_id: id, amount }) {
    const [intent] = await query(
      "UPDATE intents SET refunded = refunded + $2 WHERE id = $1 AND status = 'succeeded' AND refunded + $2 <= amount RETURNING id",
      [id, amount],
    );
    if (!intent) throw new Error(`intent ${id} is not paid, or less than ${amount} is left of it`);
    await this.#orders.write(query, { intent_id: id, kind: 'refund', amount }, 0);
  }
}
