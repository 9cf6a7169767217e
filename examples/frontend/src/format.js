const rupees = new Intl.NumberFormat('en-IN', { style: 'currency', currency: 'INR', maximumFractionDigits: 0 });
const whole = new Intl.NumberFormat('en-IN', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en-IN', { maximumFractionDigits: 2 });

/** As cars are priced in India: ₹85,000, ₹14.5 lakh, ₹1.2 crore. */
export function formatPrice(price) {
  if (price >= 10_000_000) return `₹${short.format(price / 10_000_000)} crore`;
  if (price >= 100_000) return `₹${short.format(price / 100_000)} lakh`;
  return rupees.format(price);
}

export const formatKilometres = (kilometres) => `${whole.format(kilometres)} km`;

/** "1 car", "2 cars"; "20+ cars" when there are more. */
export const countCars = (count, more = false) => `${whole.format(count)}${more ? '+' : ''} ${count === 1 && !more ? 'car' : 'cars'}`;

/** A hue (degrees) that stays the same for a model, so that its picture does. */
export function hueOf(text) {
  let hash = 0;
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}
