import pg from 'pg';
import { describeError, log } from '../log.js';
import { fromLsn, toLsn } from '../position.js';
import { DatabaseUnavailableError } from './errors.js';

// int8 (count(*)) arrives as text because it may not fit a number; ours count rows and always fit.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => new Date(text).toISOString());

// SQLSTATE classes (PostgreSQL appendix A): 08 connection, 53 resources, 57P shutdown, 58 system, 28/3D not (yet) set up,
// 25006 a read-only server, which is what a former primary is for a moment during a failover.
const UNAVAILABLE = /^(08|53|57P|58|28|3D)|^25006$|^57014$/;

function isUnavailable(error) {
  if (error instanceof AggregateError) return true;
  if (typeof error.code === 'string') {
    return UNAVAILABLE.test(error.code) || /^E(?!RR_)[A-Z_]+$/.test(error.code);
  }
  // pg's own errors for a lost connection or an elapsed time carry no code.
  return error.severity === undefined && /timeout|terminated|ended|closed/i.test(error.message);
}

function translate(error) {
  return isUnavailable(error) ? new DatabaseUnavailableError(error) : error;
}

// There is another server to ask: better soon than here.
const REPLICA_TIMES = { connectionTimeoutMillis: 500, statement_timeout: 1500, query_timeout: 2000 };

/** See index.js for the interface. */
export function openPostgres(url, { replica = false } = {}) {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'backend',
    // db.t3.micro takes about 80 connections: four hosts with two processes each stay below, migrations included.
    max: 8,
    connectionTimeoutMillis: 3000,
    idleTimeoutMillis: 30000,
    // A new connection asks DNS again: after a failover no process stays with the old address for longer.
    maxLifetimeSeconds: 300,
    statement_timeout: 10000,
    query_timeout: 12000,
    idle_in_transaction_session_timeout: 30000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10000,
    ...(replica && { ...REPLICA_TIMES, ...replica }),
  });
  // An idle connection that the server closes must not end the process; the pool opens another when it needs one.
  pool.on('error', (error) => log.warn('idle database connection lost', describeError(error)));

  async function queryWith(client, sql, parameters) {
    try {
      const result = await client.query(sql, parameters);
      return { rows: result.rows, rowCount: result.rowCount };
    } catch (error) {
      throw translate(error);
    }
  }

  return {
    engine: 'postgres',
    query: (sql, parameters = []) => queryWith(pool, sql, parameters),
    async exclusively(work) {
      let client;
      try {
        client = await pool.connect();
      } catch (error) {
        throw translate(error);
      }
      let broken;
      try {
        // A migration may take long, and so may waiting for another host's: no time limit in this transaction.
        // The advisory lock ends with the transaction, also when this process is killed.
        await client.query('BEGIN');
        await client.query('SET LOCAL statement_timeout = 0');
        await client.query({ text: "SELECT pg_advisory_xact_lock(hashtext('schema_migrations'))", query_timeout: 3600000 });
        const result = await work({
          query: (sql, parameters = []) => queryWith(client, sql, parameters),
          execute: (sql) => client.query({ text: sql, query_timeout: 3600000 }),
        });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((rollbackError) => {
          broken = rollbackError;
        });
        throw translate(error);
      } finally {
        client.release(broken);
      }
    },
    async position() {
      // After the commit: at its record or behind it.
      return fromLsn((await queryWith(pool, 'SELECT pg_current_wal_lsn() AS lsn')).rows[0].lsn);
    },
    async hasReached(position) {
      const { rows } = await queryWith(pool, 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS reached', [toLsn(position)]);
      return rows[0].reached === true;
    },
    async ping() {
      await queryWith(pool, { text: 'SELECT 1', query_timeout: 2000 });
    },
    close: () => pool.end(),
  };
}
