import { notFound, Problem } from '@vahana-example/shared';

const COLUMNS = 'id, policy_id, user_id, happened_on::text, amount, description, status, note, created_at, updated_at';

/**
 * Where a claim may go, and who moves it there.
 *
 *   submitted → in_review → approved | rejected
 *   submitted, in_review → withdrawn
 */
const MOVES = {
  in_review: { from: ['submitted'], by: 'adjuster' },
  approved: { from: ['in_review'], by: 'adjuster' },
  rejected: { from: ['in_review'], by: 'adjuster' },
  withdrawn: { from: ['submitted', 'in_review'], by: 'owner' },
};

const isAdjuster = (user) => user.roles.includes('adjuster');
const invalid = (fields) => new Problem(400, 'invalid', 'some values are missing or wrong', { fields });

export class Claims {
  #database;
  #outbox;
  #policies;

  constructor(database, outbox, policies) {
    this.#database = database;
    this.#outbox = outbox;
    this.#policies = policies;
  }

  list(user, status) {
    return this.#database.query(
      `SELECT ${COLUMNS} FROM claims WHERE ($1 OR user_id = $2) AND ($3::text IS NULL OR status = $3) ORDER BY created_at DESC LIMIT 100`,
      [isAdjuster(user), user.id, status ?? null],
    );
  }

  async get(user, id, query = this.#database.query.bind(this.#database), lock = '') {
    const [claim] = await query(`SELECT ${COLUMNS} FROM claims WHERE id = $1 AND ($2 OR user_id = $3) ${lock}`, [id, isAdjuster(user), user.id]);
    if (!claim) throw notFound();
    return claim;
  }

  async create(user, policyId, { happened_on: happenedOn, amount, description }) {
    const claim = await this.#database.transaction(async (query) => {
      // Locked, so that it is not cancelled meanwhile.
      const policy = await this.#policies.get(user.id, policyId, query, 'FOR UPDATE OF p');
      if (policy.status === 'cancelled') throw new Problem(409, 'policy_cancelled', 'this policy is cancelled');
      if (happenedOn < policy.starts_at.slice(0, 10) || happenedOn > policy.ends_at.slice(0, 10)) {
        throw invalid({ happened_on: 'must be while the policy is good' });
      }
      if (happenedOn > new Date().toISOString().slice(0, 10)) throw invalid({ happened_on: 'must not be later than today' });
      if (amount > policy.insured_value) throw invalid({ amount: `must be <= ${policy.insured_value}, the insured value` });
      const [made] = await query(
        `INSERT INTO claims (policy_id, user_id, happened_on, amount, description) VALUES ($1, $2, $3, $4, $5) RETURNING ${COLUMNS}`,
        [policyId, user.id, happenedOn, amount, description.trim()],
      );
      await this.#record(query, made, user);
      return made;
    });
    this.#outbox.kick();
    return claim;
  }

  async move(user, id, { to, note = null }) {
    const claim = await this.#database.transaction(async (query) => {
      const found = await this.get(user, id, query, 'FOR UPDATE');
      const { from, by } = MOVES[to];
      const own = found.user_id === user.id;
      if (by === 'owner' ? !own : own || !isAdjuster(user)) {
        throw new Problem(403, 'not_for_you', by === 'owner' ? 'only who claims may withdraw' : 'an adjuster decides this, and not their own claims');
      }
      if (!from.includes(found.status)) throw new Problem(409, 'claim_cannot_move', `a claim that is ${found.status} cannot become ${to}`);
      const [moved] = await query(`UPDATE claims SET status = $2, note = $3, updated_at = clock_timestamp() WHERE id = $1 RETURNING ${COLUMNS}`, [
        id,
        to,
        note,
      ]);
      await this.#record(query, moved, user);
      return moved;
    });
    this.#outbox.kick();
    return claim;
  }

  async #record(query, { id, policy_id: policyId, user_id: userId, status, note, amount }, by) {
    await query('INSERT INTO claim_moves (claim_id, by_user, status, note) VALUES ($1, $2, $3, $4)', [id, by.id, status, note]);
    const data = { user_id: userId, claim_id: id, policy_id: policyId, status, note, amount };
    await this.#outbox.write(query, ['notification'], 'claim.updated', data);
  }
}
