import { defineConfig } from 'vite';

// `npm start` of examples/services, or another front door; deployed, page and API are behind one address.
const proxy = { '/api': process.env.API_URL ?? 'http://127.0.0.1:8090' };
// What the page asks of a policy is this little. Not for `npm run dev`: there Vite puts styles into the page.
const headers = {
  'Content-Security-Policy': "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
};

export default defineConfig({
  server: { proxy },
  preview: { proxy, headers },
  build: { target: 'es2022' },
});
