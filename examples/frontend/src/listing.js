export const FUELS = [
  ['petrol', 'Petrol'],
  ['diesel', 'Diesel'],
  ['electric', 'Electric'],
  ['hybrid', 'Hybrid'],
  ['cng', 'CNG'],
];
export const TRANSMISSIONS = [
  ['manual', 'Manual'],
  ['automatic', 'Automatic'],
];
export const SORTS = [
  ['newest', 'Newest first'],
  ['price_asc', 'Lowest price'],
  ['price_desc', 'Highest price'],
];

export const labelOf = (choices, value) => choices.find(([key]) => key === value)?.[1] ?? value;

export const EMPTY_LISTING = {
  make: '',
  model: '',
  year: '',
  price: '',
  mileage_km: '',
  fuel: 'petrol',
  transmission: 'manual',
  city: '',
  description: '',
};

const FIRST_YEAR = 1886;

/**
 * Turns the text of the form into a listing as the API takes it.
 *
 * @returns {{listing?: object, fields: Record<string, string>}} fields is empty when the listing is complete
 */
export function readForm(form, now = new Date()) {
  const fields = {};
  const listing = {};
  for (const name of ['make', 'model', 'city', 'description']) listing[name] = form[name].trim();
  for (const name of ['make', 'model', 'city']) if (!listing[name]) fields[name] = 'is required';
  const limits = { year: [FIRST_YEAR, now.getFullYear() + 1], price: [0, 1_000_000_000], mileage_km: [0, 5_000_000] };
  for (const [name, [minimum, maximum]] of Object.entries(limits)) {
    // People write 14,50,000.
    const text = form[name].replace(/[\s,]/g, '');
    const value = Number(text);
    if (!text) fields[name] = 'is required';
    else if (!/^\d+$/.test(text)) fields[name] = 'must be a whole number';
    else if (value < minimum || value > maximum) fields[name] = `must be from ${minimum} to ${maximum}`;
    listing[name] = value;
  }
  listing.fuel = form.fuel;
  listing.transmission = form.transmission;
  return Object.keys(fields).length > 0 ? { fields } : { listing, fields };
}
