import { useEffect, useState } from 'react';
import { count } from '../format.js';
import { Notice } from '../parts/Notice.jsx';
import { Pages } from '../parts/Pages.jsx';
import { usePages } from '../parts/usePages.js';
import { cars } from '../portal.js';
import { Card } from './Card.jsx';
import { filterOf, NO_FILTER, queryOf } from './filter.js';
import { Search } from './Search.jsx';

const TYPING_PAUSE_MS = 250;

/** The search and what it found; `fresh` is the car that was just listed. */
export function Cars({ fresh, onList, onInsure }) {
  const [filter, setFilter] = useState(() => filterOf(window.location.search));
  const query = queryOf(filter);
  const address = new URLSearchParams(query).toString();
  const state = usePages((page, signal) => cars.search(query, page, signal), address, TYPING_PAUSE_MS);
  const filtered = Object.keys(query).some((name) => name !== 'sort');

  useEffect(() => {
    window.history.replaceState(null, '', `${window.location.pathname}${address && `?${address}`}${window.location.hash}`);
  }, [address]);

  const clear = () => setFilter(NO_FILTER);
  const empty = filtered ? (
    <Notice title="No car matches" text="Try fewer words or a wider price range." action="Show all cars" onAction={clear} />
  ) : (
    <Notice title="No cars yet" text="Yours could be the first one here." action="List your car" onAction={onList} />
  );

  return (
    <>
      <section className="hero">
        <div className="inner">
          <div className="bar">
            <div>
              <h1>Find a car, and insure it</h1>
              <p>Honest listings from owners near you, and a price for the insurance in a minute.</p>
            </div>
            <button type="button" className="accent" onClick={onList}>
              List your car
            </button>
          </div>
          <Search filter={filter} onChange={setFilter} />
        </div>
      </section>
      <div className="inner results">
        <div className="bar">
          <p role="status">{state.result ? `${count(state.result.total, 'car')} found` : ''}</p>
          {filtered && (
            <button type="button" className="link" onClick={clear}>
              Clear filters
            </button>
          )}
        </div>
        <Pages state={state} className="grid" label="Cars" more="Show more cars" empty={empty}>
          {(car) => <Card key={car.id} car={car} fresh={car.id === fresh?.id} onInsure={() => onInsure(car)} />}
        </Pages>
      </div>
    </>
  );
}
