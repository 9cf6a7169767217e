import { useRef } from 'react';
import { formatAmount } from '../format.js';
import { Failed } from '../parts/Failed.jsx';
import { useForm } from '../parts/useForm.js';
import { payment } from '../portal.js';
import { METHODS, newKey, pay } from './payments.js';

export function PaymentForm({ due, onPaid, onClose }) {
  // Keys of tries of which it is not known what became, by their methods: a key belongs to one.
  const keys = useRef({});
  const { busy, failure, onSubmit } = useForm(async ({ method }) => {
    keys.current[method] ??= newKey();
    try {
      onPaid(await pay(payment, due, method, keys.current[method]));
    } catch (error) {
      if (error.code === 'payment_declined') delete keys.current[method];
      throw error;
    }
  });
  return (
    <form onSubmit={onSubmit}>
      <fieldset className="methods" disabled={busy}>
        <legend>Payment method</legend>
        {METHODS.map(([value, name, what], index) => (
          <label key={value}>
            <input
              type="radio"
              name="method"
              value={value}
              defaultChecked={index === 0}
              aria-label={name}
              aria-describedby={`${value}-what`}
            />
            <span>
              {name} <small id={`${value}-what`}>{what}</small>
            </span>
          </label>
        ))}
        <p className="facts">These are the cards of a provider for trials: no money moves.</p>
      </fieldset>
      <Failed message={failure} />
      <footer>
        <button type="button" className="plain" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Paying…' : `Pay ${formatAmount(due.amount)}`}
        </button>
      </footer>
    </form>
  );
}
