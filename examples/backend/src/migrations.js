import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

const DIRECTORY = new URL('../migrations/', import.meta.url);
const NAME = /^\d{4}_[a-z0-9_]+\.sql$/;

async function readMigrations(directory) {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const odd = names.filter((name) => !NAME.test(name));
  if (odd.length > 0) throw new Error(`migrations are named 0001_what_it_does.sql; rename ${odd.join(', ')}`);
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, directory), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/**
 * Applies the migrations that the database has not seen, in the order of their names, all in one transaction under a lock:
 * hosts that start together run them once, and a failed one leaves the schema as it was.
 *
 * @returns {Promise<string[]>} names of the migrations applied now
 * @throws {Error} when an applied migration was edited afterwards, or one fails
 */
export async function migrate(database, directory = DIRECTORY) {
  const migrations = await readMigrations(directory);
  return database.exclusively(async ({ query, execute }) => {
    await execute(
      'CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL)',
    );
    const applied = new Map((await query('SELECT name, checksum FROM schema_migrations')).rows.map((row) => [row.name, row.checksum]));
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
      await query('INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, $3)', [
        name,
        checksum,
        new Date().toISOString(),
      ]);
      added.push(name);
    }
    // Names that only the database knows belong to a newer release: this one has been rolled back to, and its code
    // works on the wider schema (docs/backend-contract.md).
    return added;
  });
}
