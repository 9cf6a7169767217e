import { notFound } from '@vahana-example/shared';

const PAGE_SIZE = 20;
const FIELDS = ['make', 'model', 'year', 'price', 'mileage_km', 'fuel', 'transmission', 'city', 'description'];
const COLUMNS = ['id', 'owner_id', ...FIELDS, 'created_at', 'updated_at'].join(', ');
// The id makes the order total: no car is on two pages or on none.
const ORDERS = {
  newest: 'created_at DESC, id',
  price_asc: 'price, created_at DESC, id',
  price_desc: 'price DESC, created_at DESC, id',
};

const fold = (value) => value.normalize('NFC').toLowerCase();
const contains = (word) => `%${word.replace(/[\\%_]/g, '\\$&')}%`;

/** What is kept of a car, by column. */
function columnsOf(car) {
  const kept = Object.fromEntries(FIELDS.map((name) => [name, typeof car[name] === 'string' ? car[name].trim() : (car[name] ?? '')]));
  const words = [kept.make, kept.model, kept.year, kept.city, kept.description];
  return { ...kept, search_text: fold(words.join(' ')), make_key: fold(kept.make) };
}

export class Cars {
  #database;
  #outbox;
  #cache;

  constructor(database, outbox, cache) {
    this.#database = database;
    this.#outbox = outbox;
    this.#cache = cache;
  }

  search(filter) {
    return this.#cache.through(filter, () => this.#find(filter));
  }

  async #find({ q = '', make, fuel, owner_id: ownerId, min_price: minPrice, max_price: maxPrice, page, sort }) {
    const parameters = [];
    const conditions = ['TRUE'];
    const where = (condition, value) => {
      if (value === undefined) return;
      parameters.push(value);
      conditions.push(condition.replace('?', `$${parameters.length}`));
    };
    for (const word of fold(q).split(/\s+/).filter(Boolean)) where('search_text LIKE ?', contains(word));
    where('make_key = ?', make && fold(make));
    where('fuel = ?', fuel);
    where('owner_id = ?', ownerId);
    where('price >= ?', minPrice);
    where('price <= ?', maxPrice);
    const filter = conditions.join(' AND ');
    const [{ total }] = await this.#database.query(`SELECT count(*) AS total FROM cars WHERE ${filter}`, parameters);
    const items = await this.#database.query(
      `SELECT ${COLUMNS} FROM cars WHERE ${filter} ORDER BY ${ORDERS[sort]} LIMIT ${PAGE_SIZE} OFFSET ${(page - 1) * PAGE_SIZE}`,
      parameters,
    );
    return { items, page, page_size: PAGE_SIZE, total, pages: Math.max(1, Math.ceil(total / PAGE_SIZE)) };
  }

  async get(id) {
    return (await this.#database.query(`SELECT ${COLUMNS} FROM cars WHERE id = $1`, [id]))[0];
  }

  async create(ownerId, input) {
    const columns = { owner_id: ownerId, ...columnsOf(input) };
    const holders = Object.keys(columns).map((_, index) => `$${index + 1}`);
    const car = await this.#database.transaction(async (query) => {
      const [made] = await query(
        `INSERT INTO cars (${Object.keys(columns).join(', ')}) VALUES (${holders.join(', ')}) RETURNING ${COLUMNS}`,
        Object.values(columns),
      );
      const { id, make, model, year, price, city } = made;
      await this.#outbox.write(query, ['notification'], 'car.listed', { user_id: ownerId, car_id: id, make, model, year, price, city });
      return made;
    });
    this.#outbox.kick();
    await this.#cache.renew();
    return car;
  }

  async replace(id, input) {
    const columns = columnsOf(input);
    const assignments = Object.keys(columns).map((name, index) => `${name} = $${index + 2}`);
    const [car] = await this.#database.query(
      `UPDATE cars SET ${assignments.join(', ')}, updated_at = clock_timestamp() WHERE id = $1 RETURNING ${COLUMNS}`,
      [id, ...Object.values(columns)],
    );
    if (!car) throw notFound();
    await this.#cache.renew();
    return car;
  }

  async remove(id) {
    await this.#database.query('DELETE FROM cars WHERE id = $1', [id]);
    await this.#cache.renew();
  }
}
