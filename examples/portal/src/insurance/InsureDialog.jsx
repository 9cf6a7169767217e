import { useState } from 'react';
import { nameOf } from '../cars/car.js';
import { Dialog } from '../parts/Dialog.jsx';
import { Offer } from './Offer.jsx';
import { Outcome } from './Outcome.jsx';
import { PaymentForm } from './PaymentForm.jsx';
import { QuoteForm } from './QuoteForm.jsx';

/** From a car to its policy: a quote, its acceptance, the payment. */
export function InsureDialog({ car, onClose, onPolicies }) {
  const [quote, setQuote] = useState(undefined);
  const [due, setDue] = useState(undefined);
  const [paid, setPaid] = useState(undefined);

  function step() {
    if (paid !== undefined) return ['Insurance of', <Outcome quote={quote} paid={paid} onPolicies={onPolicies} onClose={onClose} />];
    if (due) return ['Payment for', <PaymentForm due={due} onPaid={setPaid} onClose={onClose} />];
    if (quote) return ['Quote for', <Offer quote={quote} onDue={setDue} onBack={() => setQuote(undefined)} />];
    return ['Insure', <QuoteForm car={car} onQuote={setQuote} onClose={onClose} />];
  }

  const [title, content] = step();
  return (
    <Dialog title={`${title} ${nameOf(car)}`} onClose={onClose}>
      {content}
    </Dialog>
  );
}
