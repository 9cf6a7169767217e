import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const LAB = process.env.VAHANA_LAB ?? fileURLToPath(new URL('../../../.venv/bin/lab', import.meta.url));

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The server refuses to run as root. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((option) => Number(execFileSync('id', [option, 'nobody'])));
  return { uid, gid };
}

/**
 * A PostgreSQL of its own in a temporary folder, of what the machine has installed.
 *
 * @returns {Promise<{url: string, stop: () => void}>}
 */
export async function startPostgres() {
  const found = globSync('/usr/lib/postgresql/*/bin/pg_ctl').sort().at(-1);
  const tools = found ? `${path.dirname(found)}/` : '';
  const user = unprivileged();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'vahana-services-'));
  if (user.uid) chownSync(folder, user.uid, user.gid);
  const run = (tool, ...args) => {
    try {
      execFileSync(`${tools}${tool}`, args, { ...user, cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    } catch (error) {
      if (error.code === 'ENOENT') throw new Error('there is no PostgreSQL: apt install postgresql, or give DATABASE_URL', { cause: error });
      throw error;
    }
  };
  const port = await freePort();
  run('initdb', '-D', `${folder}/data`, '-A', 'trust', '-U', 'vahana', '--no-sync', '-E', 'UTF8', '--locale=C');
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 -c fsync=off`;
  run('pg_ctl', '-D', `${folder}/data`, '-o', options, '-l', `${folder}/log`, '-w', '-t', '300', 'start');
  const stop = () => {
    run('pg_ctl', '-D', `${folder}/data`, '-m', 'immediate', '-w', 'stop');
    rmSync(folder, { recursive: true });
  };
  return { url: `postgres://vahana@127.0.0.1:${port}/postgres`, stop };
}

/**
 * SQS: the API of the lab, without anything else of it.
 *
 * @returns {Promise<{url: string, stop: () => void}>}
 */
export async function startQueues() {
  if (!existsSync(LAB)) throw new Error(`${LAB} is not there: run scripts/setup, or give AWS_ENDPOINT_URL`);
  const server = spawn(LAB, ['serve', '--api-only', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface(server.stdout)) {
    if (line.startsWith('ready: ')) return { url: line.slice('ready: '.length).trim(), stop: () => server.kill() };
  }
  throw new Error('the API of the lab did not start');
}
