import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DatabaseUnavailableError } from './errors.js';

// https://www.sqlite.org/rescode.html: BUSY, LOCKED, IOERR, CANTOPEN, FULL, READONLY: not the statement's fault.
const UNAVAILABLE = new Set([5, 6, 8, 10, 13, 14]);

function filename(url) {
  const name = url.slice('sqlite:'.length);
  if (name === '') throw new Error('DATABASE_URL sqlite: has no path; give sqlite:/path/to/file');
  return name === ':memory:' ? name : path.resolve(name);
}

/** See index.js for the interface. */
export function openSqlite(url) {
  const file = filename(url);
  if (file !== ':memory:') mkdirSync(path.dirname(file), { recursive: true });
  // The workers of one host share the file: a writer waits for the other instead of failing at once.
  const database = new DatabaseSync(file, { timeout: 5000, enableForeignKeyConstraints: true });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
  const statements = new Map();

  function prepared(sql) {
    let statement = statements.get(sql);
    if (!statement) {
      statement = database.prepare(sql.replace(/\$(\d+)/g, '?$1'));
      statements.set(sql, statement);
    }
    return statement;
  }

  function run(work) {
    try {
      return work();
    } catch (error) {
      if (error.code === 'ERR_SQLITE_ERROR' && UNAVAILABLE.has(error.errcode & 0xff)) {
        throw new DatabaseUnavailableError(error);
      }
      throw error;
    }
  }

  async function query(sql, parameters = []) {
    return run(() => {
      const rows = prepared(sql).all(...parameters);
      return { rows, rowCount: rows.length };
    });
  }

  return {
    engine: 'sqlite',
    query,
    async exclusively(work) {
      // IMMEDIATE takes the one write lock of the file at once: a second runner waits here.
      run(() => database.exec('BEGIN IMMEDIATE'));
      try {
        const result = await work({ query, execute: async (sql) => run(() => database.exec(sql)) });
        run(() => database.exec('COMMIT'));
        return result;
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    },
    async position() {
      // One file, one truth: any number that grows.
      return Math.round((performance.timeOrigin + performance.now()) * 1000).toString(16).padStart(16, '0');
    },
    async ping() {
      // Reads the file, unlike SELECT 1: a database on a lost disk does not pass.
      run(() => prepared('SELECT count(*) AS tables FROM sqlite_master').all());
    },
    async close() {
      database.close();
    },
  };
}
