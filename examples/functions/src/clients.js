import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SQS } from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { followSettings } from './settings.js';
import { ListingTable } from './table.js';

// Made once for all invocations of this process: connections are kept open between them. The SDK itself would wait for ever.
export const times = { connectionTimeout: 1000, requestTimeout: 5000, throwOnRequestTimeout: true };
const { PARAMETERS_PATH: path } = process.env;
if (!path) throw new Error('PARAMETERS_PATH is not set: give the path of the parameters, as /cars/prod/api');

export const ssm = new SSMClient({ requestHandler: times });
export const settings = followSettings(ssm, path);
export const documents = DynamoDBDocumentClient.from(new DynamoDBClient({ requestHandler: times }));
export const listings = new ListingTable(documents, settings);
// The endpoint comes from region and environment as for any AWS client; a queue's URL names the queue only.
export const sqs = new SQS({ requestHandler: times, maxAttempts: 2, useQueueUrlAsEndpoint: false });
