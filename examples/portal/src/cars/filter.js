export const SORTS = [
  ['newest', 'Newest first'],
  ['price_asc', 'Lowest price'],
  ['price_desc', 'Highest price'],
];
export const NO_FILTER = { q: '', make: '', fuel: '', min_price: '', max_price: '', sort: 'newest' };

/** A filter as the API and the page's address have it: without what is empty or the default, so that addresses stay short. */
export function queryOf(filter) {
  const entries = Object.keys(NO_FILTER).map((name) => [name, filter[name].trim()]);
  return Object.fromEntries(entries.filter(([name, value]) => value !== '' && value !== NO_FILTER[name]));
}

/** The filter that an address names: the opposite of queryOf. */
export function filterOf(address) {
  const query = new URLSearchParams(address);
  return Object.fromEntries(Object.entries(NO_FILTER).map(([name, empty]) => [name, query.get(name) ?? empty]));
}
