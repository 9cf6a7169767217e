/**
 * Opens the database that a URL names; with `replica` (true, or times of its own), a read replica of one.
 *
 * Both engines give the same interface; SQL uses $1, $2 … for parameters and what both dialects share:
 *   engine                     'sqlite' or 'postgres'
 *   query(sql, parameters)     Promise of {rows, rowCount}
 *   exclusively(work)          runs work({query, execute}) in one transaction that no other process enters meanwhile
 *   position()                 what is written has this position (position.js) or one before it
 *   hasReached(position)       of a read replica: is everything up to this position in it?
 *   ping()                     resolves when the database answers
 *   close()
 * A database that cannot be reached rejects with DatabaseUnavailableError.
 */
export async function openDatabase(url, options) {
  const scheme = url.slice(0, url.indexOf(':'));
  if (scheme === 'sqlite') {
    const { openSqlite } = await import('./sqlite.js');
    return openSqlite(url);
  }
  if (scheme === 'postgres' || scheme === 'postgresql') {
    const { openPostgres } = await import('./postgres.js');
    return openPostgres(url, options);
  }
  // The rest of the URL may hold a password: it is not repeated.
  throw new Error(`DATABASE_URL must begin with sqlite: or postgres:, not '${scheme}:'`);
}
