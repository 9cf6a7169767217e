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

export const nameOf = ({ make, model }) => `${make} ${model}`;

const FIRST_YEAR = 1886;

/**
 * Turns the text of the form into a car as the API takes it.
 *
 * @returns {{car?: object, fields: Record<string, string>}} fields is empty when the car is complete
 */
export function readCar(form, now = new Date()) {
  const fields = {};
  const car = { fuel: form.fuel, transmission: form.transmission };
  for (const name of ['make', 'model', 'city', 'description']) car[name] = form[name].trim();
  for (const name of ['make', 'model', 'city']) if (!car[name]) fields[name] = 'is required';
  const limits = { year: [FIRST_YEAR, now.getFullYear() + 1], price: [0, 1_000_000_000], mileage_km: [0, 5_000_000] };
  for (const [name, [minimum, maximum]] of Object.entries(limits)) {
    // People write 14,50,000.
    const text = form[name].replace(/[\s,]/g, '');
    const value = Number(text);
    if (!text) fields[name] = 'is required';
    else if (!/^\d+$/.test(text)) fields[name] = 'must be a whole number';
    else if (value < minimum || value > maximum) fields[name] = `must be from ${minimum} to ${maximum}`;
    car[name] = value;
  }
  return Object.keys(fields).length > 0 ? { fields } : { car, fields };
}
