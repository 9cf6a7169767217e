import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

const NAME = /^\d{4}_[a-z0-9_]+\.sql$/;

/** Tables that more than one service has: what it still has to send (outbox.js), what it has received (inbox.js). */
const SHARED = Object.fromEntries(['outbox', 'inbox'].map((part) => [part, new URL(`../migrations/${part}/`, import.meta.url)]));

async function readMigrations(directory, prefix = '') {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const odd = names.filter((name) => !NAME.test(name));
  if (odd.length > 0) throw new Error(`migrations are named 0001_what_it_does.sql; rename ${odd.join(', ')}`);
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, directory), 'utf8');
      return { name: `${prefix}${name}`, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/**
 * Applies the migrations that a service's schema has not seen, in the order of their names, all in one transaction under a lock: tasks that
 * start together run them once, and a failed one leaves the schema as it was.
 *
 * @param {import('./database.js').Database} database
 * @param {{directory: URL, tables?: string[]}} service its migrations are in `directory`; `tables` names those of SHARED
 * A database that takes no writes is the copy of one that has its migrations from elsewhere: its schema is left as it is.
 *
 * @returns {Promise<string[]>} names of the migrations applied now
 * @throws {Error} when an applied migration was edited afterwards, or one fails
 */
export async function migrate(database, { directory, tables = [] }) {
  if (!(await database.writable())) return [];
  const shared = await Promise.all(tables.map((part) => readMigrations(SHARED[part], `${part}/`)));
  const migrations = [...shared.flat(), ...(await readMigrations(new URL('migrations/', directory)))];
  return database.exclusively(async ({ query, execute }) => {
    // A role that may make tables in its schema only has one made for it: IF NOT EXISTS would ask for more.
    const [schema] = await query('SELECT FROM pg_namespace WHERE nspname = $1', [database.schema]);
    if (!schema) await execute(`CREATE SCHEMA ${database.schema}`);
    await execute(
      'CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL)',
    );
    const rows = await query('SELECT name, checksum FROM schema_migrations');
    const applied = new Map(rows.map((row) => [row.name, row.checksum]));
    const added = [];
    for (const { name, sql, checksum } of migrations) {
      if (applied.has(name)) {
        if (applied.get(name) !== checksum) {
          throw new Error(`${name} was changed after it had been applied; restore it and write a new migration`);
        }
        continue;
      }
      try {
        await execute(sql);
      } catch (error) {
        throw new Error(`${name}: ${error.message}`, { cause: error });
      }
      await query('INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, now())', [name, checksum]);
      added.push(name);
    }
    return added;
  });
}
