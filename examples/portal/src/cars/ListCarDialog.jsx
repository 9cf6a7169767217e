import { Failure } from '../api/failure.js';
import { Dialog } from '../parts/Dialog.jsx';
import { Failed } from '../parts/Failed.jsx';
import { Choice, Field } from '../parts/Field.jsx';
import { useForm } from '../parts/useForm.js';
import { cars } from '../portal.js';
import { FUELS, readCar, TRANSMISSIONS } from './car.js';

export function ListCarDialog({ onClose, onListed }) {
  const { busy, failure, fields, onSubmit } = useForm(async (values) => {
    const read = readCar(values);
    if (!read.car) throw new Failure('invalid', read);
    onListed(await cars.list(read.car));
  });
  return (
    <Dialog title="List your car" onClose={onClose}>
      {/* The browser's own checks would refuse 14,50,000. */}
      <form onSubmit={onSubmit} noValidate>
        <div className="fields">
          <Field label="Make" name="make" error={fields.make} maxLength={60} autoComplete="off" placeholder="Tata" />
          <Field label="Model" name="model" error={fields.model} maxLength={80} autoComplete="off" placeholder="Nexon EV" />
          <Field label="Year" name="year" error={fields.year} inputMode="numeric" placeholder="2024" />
          <Field label="Price" name="price" hint="In rupees" error={fields.price} inputMode="numeric" placeholder="14,50,000" />
          <Field
            label="Mileage"
            name="mileage_km"
            hint="In kilometres"
            error={fields.mileage_km}
            inputMode="numeric"
            placeholder="12,000"
          />
          <Field label="City" name="city" error={fields.city} maxLength={80} placeholder="Pune" />
          <Choice label="Fuel" name="fuel" error={fields.fuel} choices={FUELS} />
          <Choice label="Transmission" name="transmission" error={fields.transmission} choices={TRANSMISSIONS} />
          <div className="wide">
            <Field
              as="textarea"
              label="Description"
              name="description"
              error={fields.description}
              rows={3}
              maxLength={4000}
              placeholder="One owner, full service history"
            />
          </div>
        </div>
        <Failed message={failure} />
        <footer>
          <button type="button" className="plain" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy}>
            {busy ? 'Listing…' : 'List car'}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
