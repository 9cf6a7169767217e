import { notFound, Problem } from '@vahana-example/shared';

const FREE_LOOK_DAYS = 14;
const DAY_MS = 86_400_000;
const COLUMNS = `p.id, p.quote_id, p.user_id, q.car, q.cover, q.insured_value, q.premium, 'INR' AS currency,
  CASE WHEN p.cancelled_at IS NOT NULL THEN 'cancelled' WHEN p.ends_at <= now() THEN 'expired' ELSE 'active' END AS status,
  p.starts_at, p.ends_at, p.refund, p.refund_status`;
const FROM = 'FROM policies p JOIN quotes q ON q.id = p.quote_id';

/** What is paid back of a policy that ends now: all in the first days, later what whole days are left of it, in whole rupees. */
export function refundOf({ premium, starts_at: startsAt, ends_at: endsAt }, now = Date.now()) {
  const [starts, ends] = [Date.parse(startsAt), Date.parse(endsAt)];
  if (now < starts + FREE_LOOK_DAYS * DAY_MS) return premium;
  const days = Math.round((ends - starts) / DAY_MS);
  const left = Math.floor((ends - now) / DAY_MS);
  return Math.floor((premium * left) / days / 100) * 100;
}

export class Policies {
  #database;
  #outbox;

  constructor(database, outbox) {
    this.#database = database;
    this.#outbox = outbox;
  }

  list(userId) {
    return this.#database.query(`SELECT ${COLUMNS} ${FROM} WHERE p.user_id = $1 ORDER BY p.starts_at DESC LIMIT 100`, [userId]);
  }

  async get(userId, id, query = this.#database.query.bind(this.#database), lock = '') {
    const [policy] = await query(`SELECT ${COLUMNS} ${FROM} WHERE p.id = $1 AND p.user_id = $2 ${lock}`, [id, userId]);
    if (!policy) throw notFound();
    return policy;
  }

  /** A quote was paid: it is a policy now. */
  async issue(query, { intent_id: intentId, reference: quoteId, user_id: userId, amount }) {
    const [quote] = await query('SELECT user_id, premium, car FROM quotes WHERE id = $1', [quoteId]);
    if (!quote || quote.premium !== amount || quote.user_id !== userId) throw new Error(`intent ${intentId} does not fit quote ${quoteId}`);
    const [policy] = await query('INSERT INTO policies (quote_id, user_id, intent_id) VALUES ($1, $2, $3) RETURNING id, ends_at', [
      quoteId,
      userId,
      intentId,
    ]);
    const { make, model } = quote.car;
    await this.#tell(query, 'policy.issued', { user_id: userId, policy_id: policy.id, ends_at: policy.ends_at, premium: amount, make, model });
  }

  async cancel(userId, id) {
    const policy = await this.#database.transaction(async (query) => {
      const found = await this.get(userId, id, query, 'FOR UPDATE OF p');
      if (found.status !== 'active') throw new Problem(409, `policy_${found.status}`, `this policy is ${found.status}`);
      const [claim] = await query("SELECT FROM claims WHERE policy_id = $1 AND status IN ('submitted', 'in_review', 'approved') LIMIT 1", [id]);
      if (claim) throw new Problem(409, 'policy_has_claims', 'there is a claim that was approved or is being looked at');
      const refund = refundOf(found);
      const [{ intent_id: intentId }] = await query(
        `UPDATE policies SET cancelled_at = now(), refund = $2, refund_status = CASE WHEN $2::bigint > 0 THEN 'requested' ELSE 'none' END
         WHERE id = $1 RETURNING intent_id`,
        [id, refund],
      );
      if (refund > 0) await this.#outbox.write(query, ['payment'], 'refund.requested', { intent_id: intentId, amount: refund });
      const { make, model } = found.car;
      await this.#tell(query, 'policy.cancelled', { user_id: userId, policy_id: id, refund, make, model });
      return this.get(userId, id, query);
    });
    this.#outbox.kick();
    return policy;
  }

  async refunded(query, { intent_id: intentId }, status) {
    await query('UPDATE policies SET refund_status = $2 WHERE intent_id = $1', [intentId, status]);
  }

  #tell(query, type, data) {
    return this.#outbox.write(query, ['notification'], type, data);
  }
}
