import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { describeError, log } from './log.js';

// int8 arrives as text because it may not fit a number; ours count rows and money and always fit.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString());

// SQLSTATE classes (PostgreSQL appendix A): 08 connection, 53 resources, 57P shutdown, 58 system, 28/3D not (yet) set up,
// 25006 a read-only server, which is what a former primary is for a moment during a failover, 57014 a statement that took too long.
const UNAVAILABLE = /^(08|53|57P|58|28|3D)|^25006$|^57014$/;
const PING_MS = 1500;

// Of the transaction that asks: a connection that is older than a promotion tells the new answer.
const READ_ONLY = 'SHOW transaction_read_only';
const takesWrites = ([row]) => row.transaction_read_only === 'off';

export class DatabaseUnavailableError extends Error {
  constructor(cause) {
    super('the database cannot be reached', { cause });
    this.name = 'DatabaseUnavailableError';
    this.code = cause?.code;
  }
}

function isUnavailable(error) {
  if (error instanceof AggregateError) return true;
  if (typeof error.code === 'string') return UNAVAILABLE.test(error.code) || /^E(?!RR_)[A-Z_]+$/.test(error.code);
  // pg's own errors for a lost connection or an elapsed time carry no code.
  return error.severity === undefined && /timeout|terminated|ended|closed|connection error/i.test(error.message);
}

async function translated(work) {
  try {
    return await work();
  } catch (error) {
    throw isUnavailable(error) ? new DatabaseUnavailableError(error) : error;
  }
}

/**
 * A service's own schema of a PostgreSQL database; it sees no other's tables.
 *
 *   query(sql, parameters)     Promise of the rows
 *   transaction(work)          runs work(query) in one transaction
 *   exclusively(work)          the same, while no other process is in it, and without a limit of time
 *   writable()                 Promise of whether it takes writes: a replica does not, until it is promoted
 *   ping()                     the same, soon
 *   close()
 * A database that cannot be reached rejects with DatabaseUnavailableError.
 */
export class Database {
  #pool;

  constructor(url, schema) {
    // The rest of the URL may hold a password: it is not repeated.
    if (!/^postgres(ql)?:\/\//.test(url)) throw new Error('DATABASE_URL must begin with postgres://');
    this.schema = schema;
    this.#pool = new pg.Pool({
      connectionString: url,
      application_name: schema,
      options: `-c search_path=${schema}`,
      // Five services with up to four tasks each share one database of about 170 connections (db.t3.small).
      max: 6,
      // On a busy machine one may take some seconds: who waits for it would rather wait than be told to come again.
      connectionTimeoutMillis: 8000,
      idleTimeoutMillis: 30000,
      // A new connection asks DNS again: after a failover no process stays with the old address for longer.
      maxLifetimeSeconds: 300,
      statement_timeout: 10000,
      query_timeout: 12000,
      idle_in_transaction_session_timeout: 30000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10000,
    });
    // An idle connection that the server closes must not end the process; the pool opens another when it needs one.
    this.#pool.on('error', (error) => log.warn('idle database connection lost', describeError(error)));
  }

  async query(sql, parameters = []) {
    return translated(async () => (await this.#pool.query(sql, parameters)).rows);
  }

  async transaction(work) {
    return translated(async () => {
      const client = await this.#pool.connect();
      let broken;
      // A connection that is lost between two queries is nobody's error but ours to hear of: it would end the process.
      const onLost = (error) => {
        broken = error;
      };
      client.on('error', onLost);
      try {
        await client.query('BEGIN');
        const result = await work(async (sql, parameters) => (await client.query(sql, parameters)).rows);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(onLost);
        throw error;
      } finally {
        client.off('error', onLost);
        client.release(broken);
      }
    });
  }

  async exclusively(work) {
    return this.transaction(async (query) => {
      await query('SET LOCAL statement_timeout = 0');
      // The lock ends with the transaction, also when this process is killed.
      const unlimited = (sql) => query({ text: sql, query_timeout: 3600000 });
      await unlimited(`SELECT pg_advisory_xact_lock(hashtext('migrations of ${this.schema}'))`);
      return work({ query, execute: unlimited });
    });
  }

  async ping() {
    // A load balancer waits some seconds for the health: an answer that comes later counts as none.
    const late = new AbortController();
    const deadline = sleep(PING_MS, undefined, { signal: late.signal }).then(() => {
      throw new Error('timeout of the health check');
    });
    const answered = this.#pool.query({ text: READ_ONLY, query_timeout: PING_MS });
    try {
      return await translated(async () => takesWrites((await Promise.race([answered, deadline])).rows));
    } finally {
      // Whichever comes second is nobody's error.
      answered.catch(() => {});
      deadline.catch(() => {});
      late.abort();
    }
  }

  async writable() {
    return takesWrites(await this.query(READ_ONLY));
  }

  close() {
    return this.#pool.end();
  }
}
