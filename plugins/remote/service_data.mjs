// What backend-data does, from a task beside the services: as its host's tool, with the same statements (roles/backend/files).
// JOB says what is to be done; passwords are in variables that ECS has read from Secrets Manager. Prints one JSON object in
// numbered lines, for a log takes no longer ones: {result} or {error}.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const job = JSON.parse(process.env.JOB);
const { statements } = job;
const LOCK_NOT_AVAILABLE = '55P03';
const LOCK_ATTEMPTS = 10;
const ITERATIONS = 4096;
const LINE = 8000;

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const first = (result) => result.rows[0][0];

/** Sends a statement with psycopg2's parameters, which may come more than once, and quoted names. */
async function send(client, text, parameters = {}, names = {}) {
  const given = Object.entries(parameters);
  const numbered = text
    .replace(/%\((\w+)\)s/g, (_, name) => `$${given.findIndex(([key]) => key === name) + 1}`)
    .replace(/\{(\w+)\}/g, (whole, name) => names[name] ?? whole);
  const values = given.map(([, value]) => value);
  return client.query({ text: numbered, ...(values.length > 0 ? { values } : {}), rowMode: 'array' });
}

async function connect(user, password) {
  const { host, port, database } = job;
  const client = new pg.Client({
    ...{ host, port, database, user, password },
    // Required, and not checked against Amazon's certificates: as psycopg2's sslmode=require.
    ssl: { rejectUnauthorized: false },
    application_name: statements.APPLICATION,
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Logs in with the first password that opens, and tries again for a while: RDS sets a new one a moment after it says so. */
async function session(user, passwords, work) {
  const deadline = Date.now() + job.patience * 1000;
  for (;;) {
    let refused;
    for (const password of passwords.filter(Boolean)) {
      let client;
      try {
        client = await connect(user, password);
      } catch (error) {
        refused ??= error;
        continue;
      }
      try {
        return await work(client);
      } finally {
        await client.end().catch(() => {});
      }
    }
    if (Date.now() > deadline) throw new Error(`cannot log in to ${job.host} as ${user}: ${refused.message}`);
    await sleep(1000);
  }
}

// What a rotation has told RDS before it broke off opens, too.
const asMaster = (work) => session(process.env.MASTER_USER, [process.env.MASTER_PASSWORD, process.env.MASTER_PENDING], work);

async function transaction(client, begin, work) {
  await client.query(begin);
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** What PostgreSQL keeps of a password (RFC 5803): the server never gets the password itself. */
function verifier(password) {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const key = (name) => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`;
}

const measured = (client) =>
  transaction(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', async () => {
    await client.query(statements.SETTINGS);
    const snapshot = first(await send(client, statements.SNAPSHOT));
    const schema = first(await send(client, statements.SCHEMA));
    const tables = {};
    for (const [space, table] of (await send(client, statements.TABLES)).rows) {
      const name = { table: `${quoted(space)}.${quoted(table)}` };
      const { rows } = await send(client, statements.MEASURE, { snapshot: job.since || snapshot }, name);
      const [count, checksum, old, oldChecksum] = rows[0];
      tables[`${space}.${table}`] = { rows: Number(count), checksum, old_rows: Number(old), old_checksum: oldChecksum };
    }
    return { snapshot, schema, tables };
  });

const sessions = async (client, user) => Number(first(await send(client, statements.SESSIONS, { user })));

async function logins(client) {
  const master = process.env.MASTER_USER;
  const current = process.env.USED_USER;
  const [one, other] = statements.LOGIN_SUFFIXES.map((suffix) => `${master}${suffix}`);
  const used = {};
  for (const user of [master, one, other]) used[user] = await sessions(client, user);
  return { current, next: current === one ? other : one, master, sessions: used };
}

async function admit(client) {
  const [master, login, password] = [process.env.MASTER_USER, process.env.LOGIN_USER, process.env.LOGIN_PASSWORD];
  if (!statements.LOGIN_SUFFIXES.some((suffix) => login === `${master}${suffix}`)) {
    throw new Error(`the secret names the user '${login}', which is none of this environment's logins`);
  }
  const owner = `${master}${statements.OWNER_SUFFIX}`;
  const given = { master, owner, login, verifier: verifier(password) };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await transaction(client, 'BEGIN', async () => {
        await send(client, statements.ADMIT_GIVEN, given);
        await client.query(statements.ADMIT);
      });
      break;
    } catch (error) {
      // Requests wait behind us for a table that somebody else holds: better to step back.
      if (error.code !== LOCK_NOT_AVAILABLE || attempt === LOCK_ATTEMPTS) throw error;
      await sleep(1000);
    }
  }
  const [found] = (await session(login, [password], (its) => send(its, statements.WHO))).rows;
  if (String(found) !== String([login, owner])) throw new Error(`${login} does not act as ${owner} when it logs in`);
  return { admitted: login, owner };
}

async function dismiss(client) {
  const { user } = job;
  const { current, master } = await logins(client);
  if (user === current) throw new Error(`${user} is the login in use`);
  const deadline = Date.now() + job.wait * 1000;
  for (;;) {
    const left = await sessions(client, user);
    if (left === 0) break;
    if (Date.now() > deadline) {
      throw new Error(
        `${left} connections of ${user} are still open, so it stays valid: a task still uses it; run playbooks/rotate.yml again ` +
          'when every service is healthy',
      );
    }
    await sleep(500);
  }
  if (user !== master && Number(first(await send(client, statements.EXISTS, { user }))) > 0) {
    await send(client, statements.DISMISS, {}, { user: quoted(user) });
  }
  return { dismissed: user };
}

let answer;
try {
  answer = { result: await asMaster({ measure: measured, logins, admit, dismiss }[job.verb]) };
} catch (error) {
  answer = { error: String(error.message).split('\n')[0] };
}
const pieces = JSON.stringify(answer).match(new RegExp(`.{1,${LINE}}`, 'gs'));
pieces.forEach((piece, number) => console.log(`${statements.APPLICATION} ${number + 1}/${pieces.length} ${piece}`));
