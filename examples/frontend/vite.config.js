import { defineConfig } from 'vite';

export default defineConfig({
  server: {
    // `npm run dev` beside `npm run dev` of examples/backend; deployed, both are behind one address.
    proxy: { '/api': 'http://127.0.0.1:3000' },
  },
  build: { target: 'es2022' },
});
