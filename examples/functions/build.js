import { rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const root = import.meta.dirname;

// dist/ is what is uploaded, as it is. Names of parts change with their content: the ones before must not stay.
rmSync(`${root}/dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: ['src/api.js', 'src/sweep.js'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // The SDK's ES modules: of them only what is used becomes part of the bundle.
  mainFields: ['module', 'main'],
  logLevel: 'warning',
  // What the cache's client still takes from CommonJS.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
});
writeFileSync(`${root}/dist/package.json`, '{"type": "module"}\n');
