import { runMigrations } from '@vahana-example/shared';
import { service } from './service.js';

await runMigrations(service);
