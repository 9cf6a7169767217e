/**
 * How a premium is made. All amounts are whole paise; each step is rounded to a whole rupee, half up, so that the same question has the
 * same answer everywhere.
 *
 *   insured value    the car's price less 8 % for each year of its age, but not below 30 %
 *   third party      3,500 rupees
 *   comprehensive    that, and 2.5 % of the insured value
 *   driver           under 25: + 30 %; over 70: + 15 %
 *   mileage          over 100,000 km: + 10 %
 *   electric         − 5 %
 *   no claims        − 5 % for each year without one, − 30 % at most
 *
 * A change of these is a new edition: a quote keeps the name of the one that made it.
 */
export const RATES = '2026-1';

const RUPEE = 100;
const THIRD_PARTY = 3500 * RUPEE;

const toRupee = (paise) => Math.round(paise / RUPEE) * RUPEE;

/**
 * @param {{year: number, price: number, mileage_km: number, fuel: string}} car its price in rupees
 * @param {{cover: string, driver_age: number, no_claims_years: number}} wish
 * @param {number} thisYear
 * @returns {{premium: number, insuredValue: number, steps: {rule: string, percent: number | null, premium: number}[]}}
 */
export function rate(car, { cover, driver_age: driverAge, no_claims_years: noClaims }, thisYear) {
  const age = Math.max(0, thisYear - car.year);
  // Percents are whole numbers: fractions like 0.92 would not multiply exactly.
  const insuredValue = toRupee((car.price * RUPEE * Math.max(30, 100 - 8 * age)) / 100);
  const steps = [{ rule: 'third party', percent: null, premium: THIRD_PARTY }];
  const last = () => steps.at(-1).premium;
  if (cover === 'comprehensive') {
    steps.push({ rule: '2.5 % of the insured value', percent: null, premium: toRupee(last() + (insuredValue * 25) / 1000) });
  }
  const percents = [
    ['driver under 25', driverAge < 25, 30],
    ['driver over 70', driverAge > 70, 15],
    ['more than 100,000 km', car.mileage_km > 100_000, 10],
    ['electric', car.fuel === 'electric', -5],
    ['years without a claim', noClaims > 0, -Math.min(30, 5 * noClaims)],
  ];
  for (const [rule, applies, percent] of percents) {
    if (applies) steps.push({ rule, percent, premium: toRupee((last() * (100 + percent)) / 100) });
  }
  return { premium: last(), insuredValue, steps };
}
