import { Failed } from '../parts/Failed.jsx';
import { Choice, Field } from '../parts/Field.jsx';
import { useForm } from '../parts/useForm.js';
import { insurance } from '../portal.js';
import { COVERS } from './covers.js';

export function QuoteForm({ car, onQuote, onClose }) {
  const { busy, failure, fields, onSubmit } = useForm(async ({ cover, ...numbers }) => {
    const { driver_age: age, no_claims_years: years } = numbers;
    onQuote(await insurance.quote({ car_id: car.id, cover, driver_age: Number(age), no_claims_years: Number(years) }));
  });
  return (
    <form onSubmit={onSubmit}>
      <div className="fields single">
        <Choice label="Cover" name="cover" error={fields.cover} choices={COVERS} />
        <Field label="Driver’s age" name="driver_age" type="number" min={18} max={110} error={fields.driver_age} required />
        <Field
          label="Years without a claim"
          name="no_claims_years"
          type="number"
          min={0}
          max={80}
          defaultValue={0}
          error={fields.no_claims_years}
          required
        />
      </div>
      <Failed message={failure} />
      <footer>
        <button type="button" className="plain" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Asking…' : 'Get quote'}
        </button>
      </footer>
    </form>
  );
}
