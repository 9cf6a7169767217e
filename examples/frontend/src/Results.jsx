import { CarPicture } from './CarPicture.jsx';
import { countCars, formatKilometres, formatPrice } from './format.js';
import { FUELS, labelOf, TRANSMISSIONS } from './listing.js';

function Card({ listing, fresh }) {
  const name = `${listing.make} ${listing.model}`;
  return (
    <li className={fresh ? 'card fresh' : 'card'} data-listing={listing.id}>
      <article>
        <CarPicture name={name} />
        <div className="body">
          <p className="price">{formatPrice(listing.price)}</p>
          <h3>{name}</h3>
          <p className="facts">
            {listing.year} · {formatKilometres(listing.mileage_km)} · {listing.city}
          </p>
          {listing.description && <p className="description">{listing.description}</p>}
          <ul className="chips" aria-label="Features">
            <li className={listing.fuel === 'electric' ? 'green' : undefined}>{labelOf(FUELS, listing.fuel)}</li>
            <li>{labelOf(TRANSMISSIONS, listing.transmission)}</li>
          </ul>
        </div>
      </article>
    </li>
  );
}

function Skeletons() {
  return (
    <ul className="grid" aria-hidden="true">
      {Array.from({ length: 6 }, (_, index) => (
        <li key={index} className="card skeleton">
          <div className="picture" />
          <div className="body">
            <span />
            <span />
            <span />
          </div>
        </li>
      ))}
    </ul>
  );
}

/** What a search found: cards, or why there are none. */
export function Results({ state, filtered, freshId, onRetry, onClear, onMore, onAdd }) {
  const { status, result, error } = state;
  if (status === 'failed') {
    return (
      <div className="notice" role="alert">
        <h2>That did not work</h2>
        <p>{error.message}</p>
        <button type="button" className="primary" onClick={onRetry}>
          Try again
        </button>
      </div>
    );
  }
  if (!result) return <Skeletons />;
  if (result.items.length === 0) {
    return (
      <div className="notice">
        <h2>{filtered ? 'No car matches' : 'No cars yet'}</h2>
        <p>{filtered ? 'Try fewer words or a wider price range.' : 'Yours could be the first one here.'}</p>
        {filtered ? (
          <button type="button" className="primary" onClick={onClear}>
            Show all cars
          </button>
        ) : (
          <button type="button" className="primary" onClick={onAdd}>
            Sell your car
          </button>
        )}
      </div>
    );
  }
  return (
    <>
      <ul className="grid" aria-label={countCars(result.items.length, result.next)} aria-busy={status === 'loading'}>
        {result.items.map((listing) => (
          <Card key={listing.id} listing={listing} fresh={listing.id === freshId} />
        ))}
      </ul>
      {result.next && (
        <div className="more">
          <button type="button" className="plain" disabled={status === 'loading'} onClick={onMore}>
            Show more cars
          </button>
        </div>
      )}
    </>
  );
}
