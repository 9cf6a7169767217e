import { Choice, Field } from '../parts/Field.jsx';
import { FUELS } from './car.js';
import { SORTS } from './filter.js';

const ANY_FUEL = [['', 'Any'], ...FUELS];
const digits = (text) => text.replace(/\D/g, '').slice(0, 10);

export function Search({ filter, onChange }) {
  const control = (name, clean = (text) => text) => ({
    value: filter[name],
    onChange: (event) => onChange({ ...filter, [name]: clean(event.target.value) }),
  });
  return (
    <form role="search" className="search" onSubmit={(event) => event.preventDefault()}>
      <label className="hidden" htmlFor="search">
        Search cars
      </label>
      <input id="search" type="search" placeholder="Make, model, city…" maxLength={200} {...control('q')} />
      <div className="filters">
        <Field label="Make" maxLength={60} placeholder="Any" {...control('make')} />
        <Choice label="Fuel" choices={ANY_FUEL} {...control('fuel')} />
        <Field label="Price from (₹)" inputMode="numeric" placeholder="Any" {...control('min_price', digits)} />
        <Field label="Price to (₹)" inputMode="numeric" placeholder="Any" {...control('max_price', digits)} />
        <Choice label="Sort" choices={SORTS} {...control('sort')} />
      </div>
    </form>
  );
}
