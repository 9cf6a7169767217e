/** What a value is called, of pairs of a value and its name. */
export const labelOf = (choices, value) => choices.find(([key]) => key === value)?.[1] ?? value;
