import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, log, Loop, notFound } from '@vahana-example/shared';

const TRIES = 3;
const PAUSE_MS = 100;
const SWEEP_MS = 2000;
/** Longer than one round of tries: nobody else asks the provider meanwhile. */
const TAKEN_SECONDS = 15;
const CURRENCY = 'INR';

/**
 * What the provider is asked to do. An order is written before the provider is asked, and asked for again until its outcome is
 * known: here, by the webhook, or, when this process is gone, by the sweep of another.
 */
export class Orders {
  #database;
  #outbox;
  #provider;
  #timeoutMs;
  #loop;

  constructor({ database, outbox, provider, timeoutMs, sweepMs = SWEEP_MS }) {
    this.#database = database;
    this.#outbox = outbox;
    this.#provider = provider;
    this.#timeoutMs = timeoutMs;
    this.#loop = new Loop('orders', () => this.#sweep(), sweepMs);
  }

  start() {
    this.#loop.start();
  }

  stop() {
    return this.#loop.stop();
  }

  /** The transaction that wrote an order is committed. */
  kick() {
    this.#loop.kick();
  }

  async write(query, order, takenSeconds = TAKEN_SECONDS) {
    const names = Object.keys(order);
    const [made] = await query(
      `INSERT INTO orders (${names.join(', ')}, taken_until)
       VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')}, now() + $${names.length + 1} * interval '1 second') RETURNING *`,
      [...Object.values(order), takenSeconds],
    );
    return made;
  }

  /** Asks the provider, a few times. @returns {Promise<{status: string, reason: string | null}>} pending when it does not say */
  async carryOut(order) {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      try {
        const { outcome, reason = null } = await this.#ask(order);
        return await this.settle(order.id, outcome, reason);
      } catch (error) {
        log.warn('the provider did not say', { order: order.id, kind: order.kind, attempt, ...describeError(error) });
        // No answer at all is not mended by asking at once again.
        if (error.name === 'AbortError' || error.name === 'TimeoutError') break;
      }
      if (attempt < TRIES) await sleep(PAUSE_MS * 2 ** attempt);
    }
    return { status: 'pending', reason: null };
  }

  async #ask(order) {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    const common = { id: order.id, amount: order.amount, currency: CURRENCY };
    if (order.kind === 'charge') return this.#provider.charge({ ...common, method: order.payment_method }, signal);
    const [charge] = await this.#database.query("SELECT id FROM orders WHERE intent_id = $1 AND kind = 'charge' AND status = 'succeeded'", [
      order.intent_id,
    ]);
    return this.#provider.refund({ ...common, chargeId: charge.id }, signal);
  }

  /** Writes down what became of an order and tells others; a second time changes nothing. */
  async settle(id, outcome, reason = null) {
    const settled = await this.#database.transaction(async (query) => {
      const [order] = await query('SELECT * FROM orders WHERE id = $1 FOR UPDATE', [id]);
      if (!order) throw notFound();
      if (order.status !== 'pending') return order;
      const [changed] = await query('UPDATE orders SET status = $2, reason = $3 WHERE id = $1 RETURNING *', [id, outcome, reason]);
      await (order.kind === 'charge' ? this.#charged(query, changed) : this.#refunded(query, changed));
      return changed;
    });
    this.#outbox.kick();
    return settled;
  }

  async #charged(query, { intent_id: id, status, reason }) {
    const [intent] = await query(
      "UPDATE intents SET status = CASE WHEN $2 = 'succeeded' THEN 'succeeded' ELSE 'requires_payment' END, decline_reason = $3 WHERE id = $1 RETURNING *",
      [id, status, reason],
    );
    await this.#tell(query, intent, status === 'succeeded' ? 'payment.succeeded' : 'payment.failed', { amount: intent.amount, reason });
  }

  async #refunded(query, { intent_id: id, amount, status, reason }) {
    const given = status === 'succeeded';
    // What was set aside for it is free again when the provider refuses.
    const [intent] = await query('UPDATE intents SET refunded = refunded - $2 WHERE id = $1 RETURNING *', [id, given ? 0 : amount]);
    await this.#tell(query, intent, given ? 'payment.refunded' : 'payment.refund_failed', { amount, reason });
  }

  #tell(query, intent, type, data) {
    const { id, user_id: userId, reference, description, service } = intent;
    const about = { intent_id: id, user_id: userId, reference, description, currency: CURRENCY, ...data };
    return this.#outbox.write(query, [service, 'notification'], type, about);
  }

  async #sweep() {
    const due = await this.#database.query(
      `UPDATE orders SET attempts = attempts + 1, taken_until = now() + interval '1 second' * ${TAKEN_SECONDS} * 2 ^ least(attempts, 5)
       WHERE id IN (SELECT id FROM orders WHERE status = 'pending' AND taken_until <= now() ORDER BY taken_until LIMIT 10 FOR UPDATE SKIP LOCKED)
       RETURNING *`,
    );
    await Promise.all(due.map((order) => this.carryOut(order)));
  }
}
