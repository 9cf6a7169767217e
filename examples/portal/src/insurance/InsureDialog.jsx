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
    if (paid !== undefined) return <Outcome quote={quote} paid={paid} onPolicies={onPolicies} onClose={onClose} />;
    if (due) return <PaymentForm due={due} onPaid={setPaid} onClose={onClose} />;
    if (quote) return <Offer quote={quote} onDue={setDue} onBack={() => setQuote(undefined)} />;
    return <QuoteForm car={car} onQuote={setQuote} onClose={onClose} />;
  }

  return (
    <Dialog title={`Insure ${nameOf(car)}`} onClose={onClose}>
      {step()}
    </Dialog>
  );
}
