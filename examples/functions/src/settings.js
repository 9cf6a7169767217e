import { paginateGetParametersByPath } from '@aws-sdk/client-ssm';
import { DatabaseUnavailableError } from '../../backend/src/database/errors.js';
import { describeError } from '../../backend/src/log.js';
import { log } from './log.js';

const FRESH_MS = 60_000;

async function read(ssm, path) {
  const queueUrls = [];
  let table;
  const pages = paginateGetParametersByPath({ client: ssm }, { Path: path, Recursive: true, WithDecryption: true });
  for await (const { Parameters: parameters } of pages) {
    for (const { Name: name, Value: value } of parameters ?? []) {
      if (name === `${path}/table`) table = value;
      else if (name.startsWith(`${path}/queues/`)) queueUrls.push(value);
    }
  }
  if (!table) throw new Error(`there is no parameter ${path}/table`);
  return { table, queueUrls };
}

/**
 * What the functions are told, from Parameter Store: a published version keeps its environment for ever, while a parameter changes
 * for all of them at once, the one that is rolled back to, too. Below `path` are
 *   table            name of the table
 *   queues/<name>    URL of a queue that is told of new listings; none: nobody is told
 *
 * @param {object} ssm SSMClient
 * @param {string} path begins with a slash, as /cars/prod/api
 * @param {number} freshMs how long they are used before they are read again; after that for as long as they cannot be
 * @returns {(refused?: string) => Promise<{table: string, queueUrls: string[]}>} rejects with DatabaseUnavailableError before they
 *   were read once; with the name of a table that may not be used (any more) they are read again if it is still the one
 */
export function followSettings(ssm, path, freshMs = FRESH_MS) {
  let known;
  let until = 0;
  let reading;

  async function refresh() {
    try {
      known = await read(ssm, path);
    } catch (error) {
      if (!known) throw new DatabaseUnavailableError(error);
      log.warn('the parameters cannot be read: those from before stay', describeError(error));
    }
    until = Date.now() + freshMs;
    return known;
  }

  return async function settings(refused) {
    if (Date.now() < until && known.table !== refused) return known;
    reading ??= refresh().finally(() => {
      reading = undefined;
    });
    return reading;
  };
}
