import { labelOf } from '../choices.js';
import { formatKilometres, formatPrice } from '../format.js';
import { FUELS, nameOf, TRANSMISSIONS } from './car.js';
import { CarPicture } from './CarPicture.jsx';

export function Card({ car, fresh, onInsure }) {
  const name = nameOf(car);
  return (
    <li className={fresh ? 'card fresh' : 'card'} data-car={car.id}>
      <article>
        <CarPicture name={name} />
        <div className="body">
          <p className="price">{formatPrice(car.price)}</p>
          <h3>{name}</h3>
          <p className="facts">
            {car.year} · {formatKilometres(car.mileage_km)} · {car.city}
          </p>
          {car.description && <p className="description">{car.description}</p>}
          <ul className="chips" aria-label="Features">
            <li className={car.fuel === 'electric' ? 'green' : undefined}>{labelOf(FUELS, car.fuel)}</li>
            <li>{labelOf(TRANSMISSIONS, car.transmission)}</li>
          </ul>
          <button type="button" className="plain" onClick={onInsure}>
            Insure <span className="hidden">{name}</span>
          </button>
        </div>
      </article>
    </li>
  );
}
