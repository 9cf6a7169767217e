import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { keepsTheContract } from './contract.js';
import { freshPostgres, postgresUrl, processEnvironment, scripts, temporaryDirectory } from './helpers.js';

/** The backend as hosts run it, on a database of its own. */
const started = (databaseUrl) => async (t) => {
  const env = processEnvironment({ DATABASE_URL: await databaseUrl(t) });
  const [code] = await once(spawn(process.execPath, [scripts.migrate], { env, stdio: ['ignore', 'ignore', 'inherit'] }), 'exit');
  if (code !== 0) throw new Error(`migrate.js ended with ${code}`);
  const child = fork(scripts.server, { env, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const gone = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await gone;
  });
  const listening = new Promise((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      const { level, message, port } = JSON.parse(line);
      if (message === 'listening') resolve(port);
      // Where a test fails, this says why.
      if (level === 'error') process.stderr.write(`${line}\n`);
    });
  });
  await Promise.race([once(child, 'message'), gone.then(() => Promise.reject(new Error('the server ended')))]);
  return `http://127.0.0.1:${await listening}`;
};

// A deployed environment, as API_URL=https://cars.example.com npm test.
const { API_URL: deployed } = process.env;
if (deployed) keepsTheContract(deployed, {}, async () => deployed);

keepsTheContract('sqlite', {}, started(async (t) => `sqlite:${path.join(temporaryDirectory(t), 'db', 'listings.sqlite3')}`));
keepsTheContract('postgres', { skip: postgresUrl ? false : 'DATABASE_URL names no PostgreSQL' }, started(freshPostgres));
