import { Fleet } from './fleet.js';

const fleet = await Fleet.start({ port: Number(process.env.PORT ?? 8090), onLog: (line) => console.log(line) });
console.log(`\nAll five services answer at ${fleet.url}/api/<service>. Ctrl+C ends them and forgets everything.\n`);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await fleet.stop();
    process.exit();
  });
}
