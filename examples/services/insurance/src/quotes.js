import { notFound, Problem, unavailable } from '@vahana-example/shared';
import { rate, RATES } from './rating.js';

const CAR_FIELDS = ['id', 'make', 'model', 'year', 'price', 'mileage_km', 'fuel'];
const COLUMNS = `id, user_id, car, cover, driver_age, no_claims_years, rates, steps, insured_value, premium, 'INR' AS currency, valid_until, created_at`;

export class Quotes {
  #database;
  #cars;
  #payment;
  #validHours;

  /** @param {import('@vahana-example/shared').Peer} cars @param {import('@vahana-example/shared').Peer} payment */
  constructor({ database, cars, payment, validHours }) {
    this.#database = database;
    this.#cars = cars;
    this.#payment = payment;
    this.#validHours = validHours;
  }

  async create(userId, { car_id: carId, ...wish }, requestId) {
    const { status, body } = await this.#cars.call('GET', `/api/cars/${carId}`, { requestId });
    if (status === 404) throw new Problem(404, 'no_such_car', 'this car is not listed');
    if (status !== 200) throw unavailable('cars', new Error(`cars answered ${status}`));
    const car = Object.fromEntries(CAR_FIELDS.map((name) => [name, body[name]]));
    const { premium, insuredValue, steps } = rate(car, wish, new Date().getUTCFullYear());
    const [quote] = await this.#database.query(
      `INSERT INTO quotes (user_id, car, cover, driver_age, no_claims_years, rates, steps, insured_value, premium, valid_until)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10 * interval '1 hour') RETURNING ${COLUMNS}`,
      // An array would be taken for one of PostgreSQL's.
      [userId, car, wish.cover, wish.driver_age, wish.no_claims_years, RATES, JSON.stringify(steps), insuredValue, premium, this.#validHours],
    );
    return quote;
  }

  async get(userId, id) {
    const [quote] = await this.#database.query(`SELECT ${COLUMNS} FROM quotes WHERE id = $1 AND user_id = $2`, [id, userId]);
    if (!quote) throw notFound();
    return quote;
  }

  /** Asks for the payment; the quote's id is the key, so that there is one however often it is accepted. */
  async accept(userId, id, requestId) {
    const quote = await this.get(userId, id);
    if (Date.parse(quote.valid_until) <= Date.now()) throw new Problem(410, 'quote_expired', 'the price was good until a while ago: ask for a new quote');
    const { car, premium, valid_until: expiresAt } = quote;
    const { status, body } = await this.#payment.call('POST', '/internal/payment/intents', {
      requestId,
      idempotencyKey: `quote-${id}`,
      body: {
        user_id: userId,
        amount: premium,
        reference: id,
        description: `Insurance of a ${car.make} ${car.model}`,
        expires_at: expiresAt,
      },
    });
    if (status !== 201) throw unavailable('payment', new Error(`payment answered ${status}: ${body?.code}`));
    return { quote_id: id, intent_id: body.id, amount: premium, currency: 'INR', confirm_at: `/api/payment/intents/${body.id}/confirmation` };
  }
}
