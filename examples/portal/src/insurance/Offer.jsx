import { formatAmount, formatDay } from '../format.js';
import { Failed } from '../parts/Failed.jsx';
import { useForm } from '../parts/useForm.js';
import { insurance } from '../portal.js';

const changeOf = ({ percent }) => (percent === null ? '' : `${percent > 0 ? '+' : '−'} ${Math.abs(percent)} %`);

/** A quote and how its premium came about. */
export function Offer({ quote, onDue, onBack }) {
  const { busy, failure, onSubmit } = useForm(async () => onDue(await insurance.accept(quote)));
  return (
    <form onSubmit={onSubmit}>
      <div className="offer">
        <p className="price" role="status">
          {formatAmount(quote.premium)} <small>for a year</small>
        </p>
        <p className="facts">
          Insured value {formatAmount(quote.insured_value)} · this price is good until {formatDay(quote.valid_until)}
        </p>
        <table>
          <caption className="hidden">How the premium is made</caption>
          <thead>
            <tr>
              <th scope="col">Step</th>
              <th scope="col">Change</th>
              <th scope="col">Premium</th>
            </tr>
          </thead>
          <tbody>
            {quote.steps.map((step) => (
              <tr key={step.rule}>
                <th scope="row">{step.rule}</th>
                <td>{changeOf(step)}</td>
                <td>{formatAmount(step.premium)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Failed message={failure} />
      <footer>
        <button type="button" className="plain" onClick={onBack}>
          Change details
        </button>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Accepting…' : 'Accept quote'}
        </button>
      </footer>
    </form>
  );
}
