import { run } from '@vahana-example/shared';
import { service } from './service.js';

await run(service);
