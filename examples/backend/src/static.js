import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.xml': 'application/xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};
const COMPRESSIBLE = /^text\/|json|javascript|xml|svg/;
const PAGE_HEADERS = {
  'Content-Security-Policy':
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
  'Referrer-Policy': 'same-origin',
};

function load(file, urlPath) {
  const body = readFileSync(file);
  const type = TYPES[path.extname(file).toLowerCase()] ?? 'application/octet-stream';
  const compressed = COMPRESSIBLE.test(type) && body.length > 1024 ? gzipSync(body, { level: 9 }) : undefined;
  return {
    body,
    compressed,
    headers: {
      'Content-Type': type,
      'X-Content-Type-Options': 'nosniff',
      ETag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
      // Vite puts a hash of the content into every name under assets/; anything else may change with a release.
      'Cache-Control': urlPath.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...(compressed && { Vary: 'Accept-Encoding' }),
      ...(type.startsWith('text/html') && PAGE_HEADERS),
    },
  };
}

/**
 * A built single-page application, read into memory once: a release never changes, and another release switched in meanwhile
 * must not mix with the one this process runs.
 *
 * @returns a handler (request, response, pathname) => boolean that says whether it answered; without a directory or an
 *   index.html it never does
 */
export function createStaticHandler(directoryUrl) {
  const directory = fileURLToPath(directoryUrl);
  const files = new Map();
  let entries = [];
  try {
    entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const urlPath = `/${path.relative(directory, file).split(path.sep).join('/')}`;
    files.set(urlPath, load(file, urlPath));
  }
  const index = files.get('/index.html');

  return function serveStatic(request, response, pathname) {
    if (!index || (request.method !== 'GET' && request.method !== 'HEAD')) return false;
    // A path without an extension is a page of the application; a missing file stays missing.
    const file = files.get(pathname) ?? (path.posix.extname(pathname) === '' ? index : undefined);
    if (!file) return false;
    if (request.headers['if-none-match']?.includes(file.headers.ETag)) {
      response.writeHead(304, { ETag: file.headers.ETag, 'Cache-Control': file.headers['Cache-Control'] });
      response.end();
      return true;
    }
    const gzip = file.compressed && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    const body = gzip ? file.compressed : file.body;
    response.writeHead(200, { ...file.headers, 'Content-Length': body.length, ...(gzip && { 'Content-Encoding': 'gzip' }) });
    response.end(request.method === 'HEAD' ? undefined : body);
    return true;
  };
}
