import { Database, describeError, log, nameLogs, Settings } from '@vahana-example/shared';
import { fold, ROLES } from './users.js';

// For operators: npm run grant -- <email> <role>. The next access token has it.
nameLogs('auth');
const [email = '', role = ''] = process.argv.slice(2);
try {
  if (!ROLES.includes(role)) throw new Error(`usage: npm run grant -- <email> <role>, with a role of ${ROLES.join(', ')}`);
  const database = new Database(new Settings().secret('DATABASE_URL'), 'auth');
  try {
    const [user] = await database.query(
      'UPDATE users SET roles = array(SELECT DISTINCT unnest(roles || $2::text)) WHERE email = $1 RETURNING id, roles',
      [fold(email), role],
    );
    if (!user) throw new Error('there is no account with this address');
    log.info('granted', { user_id: user.id, roles: user.roles });
  } finally {
    await database.close();
  }
} catch (error) {
  log.error('not granted', describeError(error));
  process.exitCode = 1;
}
