const LEVELS = ['INFO', 'WARN', 'ERROR', 'FATAL'];
// Lambda sets it to the function's log level; it leaves out what console.log() and the like write, not what a function writes itself.
const lowest = LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL);

const write = (level) => (message, fields) => {
  if (LEVELS.indexOf(level) < lowest) return;
  process.stdout.write(`${JSON.stringify({ timestamp: new Date().toISOString(), level, message, ...fields })}\n`);
};

/** One JSON object a line, with the keys by which Lambda's own log levels work. Callers pass no bodies, headers or queries. */
export const log = { info: write('INFO'), warn: write('WARN'), error: write('ERROR') };
