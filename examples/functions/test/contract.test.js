import { once } from 'node:events';
import { keepsTheContract } from '../../backend/test/contract.js';
import { makeEnvironment, noAws } from './environment.js';
import { createGateway } from './gateway.js';

process.env.AWS_LAMBDA_LOG_LEVEL = 'ERROR';

/** What is uploaded, behind a gateway. */
async function start(t) {
  const { remove } = await makeEnvironment(`listings-contract-${process.pid}`);
  t.after(remove);
  const { handler } = await import('../dist/api.js');
  const gateway = createGateway(handler).listen(0, '127.0.0.1');
  await once(gateway, 'listening');
  t.after(() => {
    gateway.close();
    gateway.closeAllConnections();
  });
  return `http://127.0.0.1:${gateway.address().port}`;
}

keepsTheContract('functions', { skip: noAws }, start);
