import { aws, makeEnvironment } from './environment.js';
import { createGateway } from './gateway.js';

const NAME = 'listings-local';
const port = Number(process.env.PORT ?? 3000);

// Also where a run before was only stopped.
const { TableNames: tables } = await aws.dynamodb.listTables();
if (tables.includes(NAME)) process.env.PARAMETERS_PATH = `/${NAME}/api`;
else await makeEnvironment(NAME, ['email', 'notifications', 'analytics']);

const { handler } = await import('../dist/api.js');
createGateway(handler).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/api/listings`));
