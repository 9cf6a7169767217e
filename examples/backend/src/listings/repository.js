import { latest } from '../position.js';
import { encodeCursor, SORT_KEYS } from './cursor.js';
import { fold, searchText, wordsOf } from './text.js';
import { FIELDS, PAGE_SIZE } from './validation.js';

const COLUMNS = ['id', ...FIELDS, 'created_at', 'updated_at'].join(', ');
const DIRECTIONS = { newest: 'DESC', price_asc: 'ASC', price_desc: 'DESC' };

const contains = (word) => `%${word.replace(/[\\%_]/g, '\\$&')}%`;

/** node:sqlite gives objects without a prototype; a plain copy is what callers and tests expect. */
const plain = (row) => (row ? { ...row } : undefined);

/** Listings in a database (database/index.js), searched where database/reads.js reads, and kept in a cache (cache.js). */
export class ListingRepository {
  #database;
  #reads;
  #cache;
  #announces;

  /** @param {boolean} announces whether others are to be told of what is created (events.js) */
  constructor(database, reads, cache, announces = false) {
    this.#database = database;
    this.#reads = reads;
    this.#cache = cache;
    this.#announces = announces;
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

  async #find(database, { q, make, minPrice, maxPrice, sort, after }) {
    const parameters = [];
    const conditions = [];
    const where = (condition, ...values) => {
      conditions.push(condition.replace(/\?/g, () => `$${parameters.push(values.shift())}`));
    };
    for (const word of wordsOf(q)) where("search_text LIKE ? ESCAPE '\\'", contains(word));
    if (make) where('make_key = ?', fold(make));
    if (minPrice !== undefined) where('price >= ?', minPrice);
    if (maxPrice !== undefined) where('price <= ?', maxPrice);
    const [key, direction] = [SORT_KEYS[sort], DIRECTIONS[sort]];
    if (after) where(`(${key}, id) ${direction === 'ASC' ? '>' : '<'} (?, ?)`, after.value, after.id);
    const filter = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
    // One more than a page shows whether there is another.
    const { rows } = await database.query(
      `SELECT ${COLUMNS} FROM listings ${filter} ORDER BY ${key} ${direction}, id ${direction} LIMIT ${PAGE_SIZE + 1}`,
      parameters,
    );
    const items = rows.slice(0, PAGE_SIZE).map(plain);
    return { items, next: rows.length > PAGE_SIZE ? encodeCursor(sort, items.at(-1)) : null };
  }

  async get(id) {
    return plain((await this.#database.query(`SELECT ${COLUMNS} FROM listings WHERE id = $1`, [id])).rows[0]);
  }

  /** @returns {Promise<object | undefined>} undefined when there is a listing with this id */
  async create(id, listing) {
    const now = new Date().toISOString();
    const names = ['id', ...FIELDS, 'search_text', 'make_key', 'created_at', 'updated_at'];
    const values = [
      id,
      ...FIELDS.map((name) => listing[name]),
      searchText(listing),
      fold(listing.make),
      now,
      now,
    ];
    const holders = names.map((_, index) => `$${index + 1}`);
    const { rows } = await this.#database.query(
      `INSERT INTO listings (${names.join(', ')}, to_announce) VALUES (${holders.join(', ')}, ${this.#announces ? 'TRUE' : 'FALSE'})
       ON CONFLICT (id) DO NOTHING RETURNING ${COLUMNS}`,
      values,
    );
    return plain(rows[0]);
  }

  async replace(id, listing) {
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
    const { rows } = await this.#database.query('DELETE FROM listings WHERE id = $1 RETURNING id', [id]);
    return rows.length > 0;
  }
}
