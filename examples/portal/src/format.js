const whole = new Intl.NumberFormat('en-IN', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en-IN', { maximumFractionDigits: 2 });
const day = new Intl.DateTimeFormat('en-IN', { dateStyle: 'long' });
const moment = new Intl.DateTimeFormat('en-IN', { dateStyle: 'medium', timeStyle: 'short' });

/** As cars are priced in India: ₹85,000, ₹14.5 lakh, ₹1.2 crore. */
export function formatPrice(rupees) {
  if (rupees >= 10_000_000) return `₹${short.format(rupees / 10_000_000)} crore`;
  if (rupees >= 100_000) return `₹${short.format(rupees / 100_000)} lakh`;
  return `₹${whole.format(rupees)}`;
}

/** An amount that is paid, to the paisa: 1234500 paise are ₹12,345, and 1234550 are ₹12,345.50. */
export function formatAmount(paise) {
  const digits = paise % 100 ? 2 : 0;
  return `₹${(paise / 100).toLocaleString('en-IN', { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export const formatKilometres = (kilometres) => `${whole.format(kilometres)} km`;
export const formatDay = (time) => day.format(new Date(time));
export const formatMoment = (time) => moment.format(new Date(time));

/** "1 car", "2 cars". */
export const count = (number, thing) => `${whole.format(number)} ${thing}${number === 1 ? '' : 's'}`;

/** A hue (degrees) that stays the same for a model, so that its picture does. */
export function hueOf(text) {
  let hash = 0;
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}
