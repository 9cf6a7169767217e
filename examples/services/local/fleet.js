import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SQS } from '@aws-sdk/client-sqs';
import { freePort, startPostgres, startQueues } from './backing.js';
import { openFrontDoor } from './front-door.js';

export const NAMES = ['auth', 'cars', 'insurance', 'payment', 'notification'];
const QUEUES = ['insurance', 'payment', 'notification'];
const folderOf = (name) => fileURLToPath(new URL(`../${name}/`, import.meta.url));

/** All five services as processes of this machine, each on its port, with their database, their queues and a front door. */
export class Fleet {
  #processes = new Map();
  #settings;
  #targets;
  #stops = [];
  /** What each service has logged, an object a line. */
  logs = Object.fromEntries(NAMES.map((name) => [name, []]));
  url;

  /** @param {{port?: number, onLog?: (line: string) => void, env?: object}} options of the front door, of who wants to see the logs, of all services */
  static async start({ port = 0, onLog = () => {}, env = {} } = {}) {
    const fleet = new Fleet();
    try {
      await fleet.#prepare(port, onLog, env);
      await Promise.all(NAMES.map((name) => fleet.start(name)));
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  async #prepare(port, onLog, env) {
    this.onLog = onLog;
    const started = async (given, start) => {
      if (given) return given;
      const { url, stop } = await start();
      this.#stops.unshift(stop);
      return url;
    };
    const [database, endpoint] = await Promise.all([
      started(process.env.DATABASE_URL, startPostgres),
      started(process.env.AWS_ENDPOINT_URL, startQueues),
    ]);
    const aws = { AWS_ENDPOINT_URL: endpoint, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };
    Object.assign(process.env, aws);
    const sqs = new SQS({});
    const queues = await Promise.all(QUEUES.map((name) => sqs.createQueue({ QueueName: `services-${name}`, Attributes: { VisibilityTimeout: '30' } })));
    sqs.destroy();
    this.#targets = Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, `http://127.0.0.1:${await freePort()}`])));
    const secret = () => randomBytes(32).toString('base64url');
    this.#settings = {
      PATH: process.env.PATH,
      ...aws,
      HOST: '127.0.0.1',
      DATABASE_URL: database,
      TOKEN_KEYS: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
      SERVICE_SECRET: secret(),
      WEBHOOK_SECRET: secret(),
      TRUSTED_PROXIES: '1',
      ...Object.fromEntries(NAMES.map((name) => [`${name.toUpperCase()}_URL`, this.#targets[name]])),
      ...Object.fromEntries(QUEUES.map((name, index) => [`QUEUE_URL_${name.toUpperCase()}`, queues[index].QueueUrl])),
      ...env,
    };
    await Promise.all(NAMES.map((name) => this.#migrate(name)));
    const door = await openFrontDoor(this.#targets, port);
    this.#stops.unshift(door.close);
    this.url = door.url;
  }

  /** @returns {Record<string, string>} the secrets of all services, for whoever looks for them where they must not be */
  get secrets() {
    const { TOKEN_KEYS, SERVICE_SECRET, WEBHOOK_SECRET } = this.#settings;
    return { TOKEN_KEYS: TOKEN_KEYS.split('\n')[1], SERVICE_SECRET, WEBHOOK_SECRET };
  }

  #spawn(name, script) {
    const env = { ...this.#settings, PORT: new URL(this.#targets[name]).port };
    const child = spawn(process.execPath, [`src/${script}`], { cwd: folderOf(name), env, stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line);
      this.logs[name].push(entry);
      this.onLog(line);
      child.emit(`logged ${entry.message}`);
    });
    return child;
  }

  async #migrate(name) {
    const [code] = await once(this.#spawn(name, 'migrate.js'), 'close');
    if (code !== 0) throw new Error(`the migration of ${name} failed: ${JSON.stringify(this.logs[name].at(-1))}`);
  }

  async start(name) {
    const child = this.#spawn(name, 'main.js');
    // It may end by itself long before it is ended.
    const closed = once(child, 'close');
    this.#processes.set(name, { child, closed });
    const gone = closed.then(() => 'gone');
    if ((await Promise.race([once(child, 'logged listening'), gone])) === 'gone') {
      throw new Error(`${name} did not start: ${JSON.stringify(this.logs[name].at(-1))}`);
    }
  }

  /** @returns {number} the process id of a service */
  pid(name) {
    return this.#processes.get(name).child.pid;
  }

  /** @returns {Promise<number | null>} the exit code; null when a signal ended it */
  async end(name, signal = 'SIGTERM') {
    const { child, closed } = this.#processes.get(name);
    this.#processes.delete(name);
    child.kill(signal);
    return (await closed)[0];
  }

  async stop() {
    const codes = await Promise.all([...this.#processes.keys()].map(async (name) => [name, await this.end(name)]));
    for (const stop of this.#stops) stop();
    this.#stops = [];
    return Object.fromEntries(codes);
  }
}
