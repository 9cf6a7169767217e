import { useEffect, useState } from 'react';
import { AddCarDialog } from './AddCarDialog.jsx';
import { fetchVersion, readQuery, searchQuery } from './api.js';
import { countCars } from './format.js';
import { SORTS } from './listing.js';
import { Results } from './Results.jsx';
import { useListings } from './useListings.js';

const digits = (text) => text.replace(/\D/g, '').slice(0, 10);

function useVersion() {
  const [version, setVersion] = useState('');
  useEffect(() => {
    const controller = new AbortController();
    // Only a note in the footer: a page without it is complete.
    fetchVersion(controller.signal).then(
      (answer) => setVersion(answer.version),
      () => {},
    );
    return () => controller.abort();
  }, []);
  return version;
}

export function App() {
  const [filter, setFilter] = useState(() => readQuery(window.location.search));
  const [revision, setRevision] = useState(0);
  const [adding, setAdding] = useState(false);
  const [added, setAdded] = useState(undefined);
  const state = useListings(filter, revision);
  const version = useVersion();
  const query = searchQuery(filter);
  const filtered = searchQuery({ ...filter, sort: 'newest' }) !== '';

  useEffect(() => {
    window.history.replaceState(null, '', query ? `?${query}` : window.location.pathname);
  }, [query]);

  const change = (more) => setFilter({ ...filter, ...more });
  const clear = () => setFilter(readQuery(''));

  function onAdded(listing) {
    setAdding(false);
    setAdded(listing);
    // Without filters, where the newest is on top: people look for what they have just added.
    clear();
    setRevision(revision + 1);
    window.scrollTo({ top: 0 });
  }

  return (
    <>
      <header className="top">
        <div className="inner">
          <a className="brand" href="/">
            <img src="/favicon.svg" alt="" width="36" height="36" />
            VahanHelp
          </a>
          <button type="button" className="accent" onClick={() => setAdding(true)}>
            Sell your car
          </button>
        </div>
      </header>

      <section className="hero">
        <div className="inner">
          <h1>Find the car that fits</h1>
          <p>Honest listings from owners near you.</p>
          <form role="search" className="search" onSubmit={(event) => event.preventDefault()}>
            <label className="hidden" htmlFor="search">
              Search cars
            </label>
            <input
              id="search"
              type="search"
              placeholder="Make, model, city…"
              maxLength={200}
              value={filter.q}
              onChange={(event) => change({ q: event.target.value })}
            />
            <div className="filters">
              <label>
                Make
                <input value={filter.make} maxLength={60} placeholder="Any" onChange={(event) => change({ make: event.target.value })} />
              </label>
              <label>
                Price from (₹)
                <input
                  inputMode="numeric"
                  placeholder="Any"
                  value={filter.minPrice}
                  onChange={(event) => change({ minPrice: digits(event.target.value) })}
                />
              </label>
              <label>
                Price to (₹)
                <input
                  inputMode="numeric"
                  placeholder="Any"
                  value={filter.maxPrice}
                  onChange={(event) => change({ maxPrice: digits(event.target.value) })}
                />
              </label>
              <label>
                Sort
                <select value={filter.sort} onChange={(event) => change({ sort: event.target.value })}>
                  {SORTS.map(([value, label]) => (
                    <option key={value} value={value}>
                      {label}
                    </option>
                  ))}
                </select>
              </label>
            </div>
          </form>
        </div>
      </section>

      <main className="inner">
        <div className="bar">
          <p role="status">
            {state.status === 'loading' && !state.result && 'Looking for cars…'}
            {state.result && countCars(state.result.items.length, state.result.next)}
            {state.result && filtered && ' found'}
          </p>
          {filtered && (
            <button type="button" className="link" onClick={clear}>
              Clear filters
            </button>
          )}
        </div>
        {added && (
          <p className="added" role="status">
            <span>
              Your {added.make} {added.model} is listed.
            </span>
            <button type="button" className="icon" aria-label="Dismiss" onClick={() => setAdded(undefined)}>
              ×
            </button>
          </p>
        )}
        <Results
          state={state}
          filtered={filtered}
          freshId={added?.id}
          onRetry={() => setRevision(revision + 1)}
          onClear={clear}
          onMore={state.more}
          onAdd={() => setAdding(true)}
        />
      </main>

      <footer className="bottom">
        <div className="inner">VahanHelp{version && ` · release ${version}`}</div>
      </footer>
      <AddCarDialog open={adding} onClose={() => setAdding(false)} onAdded={onAdded} />
    </>
  );
}
