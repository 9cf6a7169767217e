import { readConfig } from './config.js';
import { openDatabase } from './database/index.js';
import { describeError, log } from './log.js';
import { migrate } from './migrations.js';

try {
  const database = await openDatabase(readConfig().databaseUrl);
  try {
    const applied = await migrate(database);
    log.info(applied.length > 0 ? 'migrations applied' : 'schema is up to date', { applied, engine: database.engine });
  } finally {
    await database.close();
  }
} catch (error) {
  log.error('migration failed', describeError(error));
  process.exitCode = 1;
}
