/** What went wrong with a request, in words for a person; fields holds what is wrong with each value of a form. */
export class ApiError extends Error {
  constructor(message, { status = 0, fields = {} } = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.fields = fields;
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('We cannot reach the server. Check your connection and try again.');
  }
  // A load balancer or CDN in trouble answers with a page of its own.
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body;
  const fields = body?.error?.fields ?? {};
  if (response.status === 400) throw new ApiError('Some details need another look.', { status: 400, fields });
  throw new ApiError('The service is busy. Please try again in a moment.', { status: response.status });
}

/** Query string of a search; what is empty or the default is left out, so that addresses stay short. */
export function searchQuery({ q, make, minPrice, maxPrice, sort }) {
  const parameters = new URLSearchParams();
  if (q?.trim()) parameters.set('q', q.trim());
  if (make?.trim()) parameters.set('make', make.trim());
  if (minPrice) parameters.set('min_price', minPrice);
  if (maxPrice) parameters.set('max_price', maxPrice);
  if (sort && sort !== 'newest') parameters.set('sort', sort);
  return parameters.toString();
}

/** The search that an address names: the opposite of searchQuery. */
export function readQuery(text) {
  const parameters = new URLSearchParams(text);
  return {
    q: parameters.get('q') ?? '',
    make: parameters.get('make') ?? '',
    minPrice: parameters.get('min_price') ?? '',
    maxPrice: parameters.get('max_price') ?? '',
    sort: parameters.get('sort') ?? 'newest',
  };
}

/** A page of a search: the first, or the one that `cursor` (what "next" was in the page before) names. */
export async function searchListings(filter, signal, cursor) {
  const parameters = new URLSearchParams(searchQuery(filter));
  if (cursor) parameters.set('cursor', cursor);
  const page = await request(`/api/listings${parameters.size > 0 ? `?${parameters}` : ''}`, { signal });
  // The API may take a rest before it has found anything.
  return page.items.length === 0 && page.next ? searchListings(filter, signal, page.next) : page;
}

/** Names a creation, so that sending it again creates nothing. Not crypto.randomUUID(), which pages without TLS do not have. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16)).join('-');

export function addListing(listing, key) {
  return request('/api/listings', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
    body: JSON.stringify(listing),
  });
}

export function fetchVersion(signal) {
  return request('/api/version', { signal });
}
