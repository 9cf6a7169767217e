import { randomUUID } from 'node:crypto';
import { latest } from '../position.js';
import { PAGE_SIZE } from './validation.js';

const FIELDS = ['make', 'model', 'year', 'price', 'mileage_km', 'fuel', 'transmission', 'city', 'description'];
const COLUMNS = ['id', ...FIELDS, 'created_at', 'updated_at'].join(', ');
// The id makes the order total: no listing is on two pages or on none.
const ORDERS = {
  newest: 'created_at DESC, id',
  price_asc: 'price, created_at DESC, id',
  price_desc: 'price DESC, created_at DESC, id',
};
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

const fold = (value) => value.normalize('NFC').toLowerCase();
const searchText = (listing) => fold([listing.make, listing.model, listing.year, listing.city, listing.description].join(' '));
const contains = (word) => `%${word.replace(/[\\%_]/g, '\\$&')}%`;

/** node:sqlite gives objects without a prototype; a plain copy is what callers and tests expect. */
const plain = (row) => (row ? { ...row } : undefined);

/** Listings in a database (database/index.js), searched where database/reads.js reads, and kept in a cache (cache.js). */
export class ListingRepository {
  #database;
  #reads;
  #cache;

  constructor(database, reads, cache) {
    this.#database = database;
    this.#reads = reads;
    this.#cache = cache;
  }

  /** @param {string} seen position (position.js) of what whoever searches has written */
  async search(filter, seen = '') {
    const written = await this.#cache.position();
    const needed = latest(seen, written ?? '');
    const key = JSON.stringify(filter);
    const kept = written === undefined ? undefined : await this.#cache.get(needed, key);
    if (kept) return kept;
    const found = await this.#reads.run(needed, (database) => this.#find(database, filter));
    if (written !== undefined) this.#cache.set(needed, key, found);
    return found;
  }

  /** The position of what was just written, which from now on everybody sees who has the cache or is told. */
  async position() {
    const position = await this.#database.position();
    await this.#cache.advance(position);
    return position;
  }

  async #find(database, { q, make, minPrice, maxPrice, page, sort }) {
    const parameters = [];
    const conditions = [];
    const where = (condition, value) => {
      parameters.push(value);
      conditions.push(condition.replace('?', `$${parameters.length}`));
    };
    // Every word must occur, in any order.
    for (const word of fold(q).split(/\s+/).filter(Boolean)) where("search_text LIKE ? ESCAPE '\\'", contains(word));
    if (make) where('make_key = ?', fold(make));
    if (minPrice !== undefined) where('price >= ?', minPrice);
    if (maxPrice !== undefined) where('price <= ?', maxPrice);
    const filter = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';

    const counted = await database.query(`SELECT count(*) AS total FROM listings ${filter}`, parameters);
    const { total } = counted.rows[0];
    const { rows } = await database.query(
      `SELECT ${COLUMNS} FROM listings ${filter} ORDER BY ${ORDERS[sort]} LIMIT ${PAGE_SIZE} OFFSET ${(page - 1) * PAGE_SIZE}`,
      parameters,
    );
    return { items: rows.map(plain), page, page_size: PAGE_SIZE, total, pages: Math.max(1, Math.ceil(total / PAGE_SIZE)) };
  }

  async get(id) {
    // PostgreSQL refuses to compare a uuid with other text; no such listing exists anyway.
    if (!UUID.test(id)) return undefined;
    return plain((await this.#database.query(`SELECT ${COLUMNS} FROM listings WHERE id = $1`, [id])).rows[0]);
  }

  /** @param {boolean} announce whether others are to be told of it (events.js) */
  async create(listing, announce = false) {
    const now = new Date().toISOString();
    const names = ['id', ...FIELDS, 'search_text', 'make_key', 'created_at', 'updated_at'];
    const values = [
      randomUUID(),
      ...FIELDS.map((name) => listing[name]),
      searchText(listing),
      fold(listing.make),
      now,
      now,
    ];
    const holders = names.map((_, index) => `$${index + 1}`);
    const { rows } = await this.#database.query(
      `INSERT INTO listings (${names.join(', ')}, to_announce) VALUES (${holders.join(', ')}, ${announce ? 'TRUE' : 'FALSE'})
       RETURNING ${COLUMNS}`,
      values,
    );
    return plain(rows[0]);
  }

  async replace(id, listing) {
    if (!UUID.test(id)) return undefined;
    const names = [...FIELDS, 'search_text', 'make_key', 'updated_at'];
    const values = [...FIELDS.map((name) => listing[name]), searchText(listing), fold(listing.make), new Date().toISOString()];
    const assignments = names.map((name, index) => `${name} = $${index + 1}`);
    const { rows } = await this.#database.query(
      `UPDATE listings SET ${assignments.join(', ')} WHERE id = $${names.length + 1} RETURNING ${COLUMNS}`,
      [...values, id],
    );
    return plain(rows[0]);
  }

  async toAnnounce(createdBefore, limit) {
    const { rows } = await this.#database.query(
      `SELECT ${COLUMNS} FROM listings WHERE to_announce AND created_at < $1 ORDER BY created_at LIMIT ${limit}`,
      [createdBefore],
    );
    return rows.map(plain);
  }

  async announced(ids) {
    if (ids.length === 0) return;
    const holders = ids.map((_, index) => `$${index + 1}`);
    await this.#database.query(`UPDATE listings SET to_announce = FALSE WHERE id IN (${holders.join(', ')})`, ids);
  }

  async remove(id) {
    if (!UUID.test(id)) return false;
    const { rows } = await this.#database.query('DELETE FROM listings WHERE id = $1 RETURNING id', [id]);
    return rows.length > 0;
  }
}
