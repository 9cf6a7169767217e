import { decodeCursor, SORT_KEYS } from './cursor.js';

export const FIELDS = ['make', 'model', 'year', 'price', 'mileage_km', 'fuel', 'transmission', 'city', 'description'];
export const FUELS = ['petrol', 'diesel', 'electric', 'hybrid', 'cng'];
export const TRANSMISSIONS = ['manual', 'automatic'];
export const PAGE_SIZE = 20;

// The first motor car was patented in 1886.
const FIRST_YEAR = 1886;
export const MAX_PRICE = 1_000_000_000;
const MAX_MILEAGE = 5_000_000;

export class ValidationError extends Error {
  /** @param {Record<string, string>} fields what is wrong with each field, in a sentence for the person who sent it */
  constructor(fields) {
    super('some values are missing or wrong');
    this.name = 'ValidationError';
    this.fields = fields;
  }
}

function text(input, errors, name, { maximum, required = true }) {
  const value = input[name];
  if (value === undefined || value === null || value === '') {
    if (required) errors[name] = 'is required';
    return '';
  }
  if (typeof value !== 'string') {
    errors[name] = 'must be text';
    return '';
  }
  // NUL cannot be stored by PostgreSQL; a lone surrogate is no Unicode text at all.
  if (value.includes('\0') || !value.isWellFormed()) {
    errors[name] = 'has characters that are not text';
    return '';
  }
  const trimmed = value.trim();
  if (trimmed === '' && required) errors[name] = 'is required';
  else if (trimmed.length > maximum) errors[name] = `must have at most ${maximum} characters`;
  return trimmed;
}

function whole(input, errors, name, { minimum, maximum }) {
  const value = input[name];
  if (value === undefined || value === null || value === '') errors[name] = 'is required';
  else if (!Number.isInteger(value)) errors[name] = 'must be a whole number';
  else if (value < minimum || value > maximum) errors[name] = `must be from ${minimum} to ${maximum}`;
  return value;
}

function choice(input, errors, name, choices) {
  const value = input[name];
  if (value === undefined || value === null || value === '') errors[name] = 'is required';
  else if (!choices.includes(value)) errors[name] = `must be one of ${choices.join(', ')}`;
  return value;
}

/** A listing as a client sends it; everything wrong is reported at once. */
export function parseListing(input, now = new Date()) {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) {
    throw new ValidationError({ body: 'must be a JSON object' });
  }
  const errors = {};
  const listing = {
    make: text(input, errors, 'make', { maximum: 60 }),
    model: text(input, errors, 'model', { maximum: 80 }),
    // Next year's models are sold before the year begins.
    year: whole(input, errors, 'year', { minimum: FIRST_YEAR, maximum: now.getUTCFullYear() + 1 }),
    price: whole(input, errors, 'price', { minimum: 0, maximum: MAX_PRICE }),
    mileage_km: whole(input, errors, 'mileage_km', { minimum: 0, maximum: MAX_MILEAGE }),
    fuel: choice(input, errors, 'fuel', FUELS),
    transmission: choice(input, errors, 'transmission', TRANSMISSIONS),
    city: text(input, errors, 'city', { maximum: 80 }),
    description: text(input, errors, 'description', { maximum: 4000, required: false }),
  };
  for (const name of Object.keys(input)) {
    if (!Object.hasOwn(listing, name)) errors[name] = 'is not a field of a listing';
  }
  if (Object.keys(errors).length > 0) throw new ValidationError(errors);
  return listing;
}

function wholeParameter(parameters, errors, name, { minimum, maximum }) {
  const raw = parameters.get(name);
  if (raw === null || raw === '') return undefined;
  const value = /^\d{1,15}$/.test(raw) ? Number(raw) : Number.NaN;
  if (!(value >= minimum && value <= maximum)) {
    errors[name] = `must be a whole number from ${minimum} to ${maximum}`;
    return undefined;
  }
  return value;
}

/** The filter of a search, from the query string; `after` (cursor.js) is where its page begins. */
export function parseFilter(parameters) {
  const errors = {};
  const plain = Object.fromEntries(parameters);
  const filter = {
    q: text(plain, errors, 'q', { maximum: 200, required: false }),
    make: text(plain, errors, 'make', { maximum: 60, required: false }),
    minPrice: wholeParameter(parameters, errors, 'min_price', { minimum: 0, maximum: MAX_PRICE }),
    maxPrice: wholeParameter(parameters, errors, 'max_price', { minimum: 0, maximum: MAX_PRICE }),
    sort: parameters.get('sort') || 'newest',
  };
  if (!Object.hasOwn(SORT_KEYS, filter.sort)) errors.sort = `must be one of ${Object.keys(SORT_KEYS).join(', ')}`;
  else if (parameters.get('cursor')) {
    filter.after = decodeCursor(filter.sort, parameters.get('cursor'));
    const outside = SORT_KEYS[filter.sort] === 'price' && (filter.after?.value < filter.minPrice || filter.after?.value > filter.maxPrice);
    if (!filter.after || outside) errors.cursor = 'must be what "next" was in an answer to this search';
  }
  if (filter.minPrice !== undefined && filter.maxPrice !== undefined && filter.minPrice > filter.maxPrice) {
    errors.min_price = 'must not be above max_price';
  }
  if (Object.keys(errors).length > 0) throw new ValidationError(errors);
  return filter;
}
