import { listings, settings, ssm, times } from './clients.js';

const { CACHE_PARAMETER: parameter } = process.env;

/** What a cache takes is loaded only where there is one. */
async function withCache() {
  const [{ SecretsManagerClient }, { cachePlace, keepSearches, openCache }] = await Promise.all([
    import('@aws-sdk/client-secrets-manager'),
    import('./cache.js'),
  ]);
  const cache = openCache(cachePlace(ssm, new SecretsManagerClient({ requestHandler: times }), parameter));
  await cache.ready;
  return keepSearches(listings, cache, settings);
}

/** What visitors are answered from: the listings, where there is a cache through it. */
export const visible = parameter ? await withCache() : listings;
