import { readFileSync } from 'node:fs';
import { DynamoDB, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import { SQS } from '@aws-sdk/client-sqs';
import { SSM } from '@aws-sdk/client-ssm';

export const noAws = process.env.AWS_ENDPOINT_URL ? false : 'AWS_ENDPOINT_URL names no AWS to test on';

export const aws = { dynamodb: new DynamoDB(), sqs: new SQS({ useQueueUrlAsEndpoint: false }), ssm: new SSM() };

/** The table that table.json describes. */
export async function makeTable(TableName) {
  const { TimeToLiveSpecification, ...table } = JSON.parse(readFileSync(new URL('../table.json', import.meta.url)));
  await aws.dynamodb.createTable({ TableName, ...table });
  await waitUntilTableExists({ client: aws.dynamodb, minDelay: 1, maxWaitTime: 60 }, { TableName });
  await aws.dynamodb.updateTimeToLive({ TableName, TimeToLiveSpecification });
}

const setParameter = (Name, Value) => aws.ssm.putParameter({ Name, Value, Type: 'String', Overwrite: true });

/**
 * What the functions need: a table, queues and the parameters that name them. This process's own environment names the parameters, so
 * call it before a function is loaded.
 *
 * @param {string} name of the table, and the beginning of all other names
 * @param {string[]} queues
 * @returns {Promise<{table: string, queueUrls: object, remove: () => Promise<void>}>} URLs of the queues by name
 */
export async function makeEnvironment(name, queues = []) {
  const path = `/${name}/api`;
  const queueUrls = {};
  await makeTable(name);
  await setParameter(`${path}/table`, name);
  for (const queue of queues) {
    queueUrls[queue] = (await aws.sqs.createQueue({ QueueName: `${name}-${queue}` })).QueueUrl;
    await setParameter(`${path}/queues/${queue}`, queueUrls[queue]);
  }
  process.env.PARAMETERS_PATH = path;

  async function remove() {
    await aws.dynamodb.deleteTable({ TableName: name });
    for (const QueueUrl of Object.values(queueUrls)) await aws.sqs.deleteQueue({ QueueUrl });
    await aws.ssm.deleteParameters({ Names: [`${path}/table`, ...queues.map((queue) => `${path}/queues/${queue}`)] });
  }
  return { table: name, queueUrls, remove };
}
