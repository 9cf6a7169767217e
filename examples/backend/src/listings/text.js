/** As text is compared: lower-cased here, since engines differ in what they know of Unicode. */
export const fold = (value) => value.normalize('NFC').toLowerCase();

/** What a search for words looks at. */
export const searchText = (listing) => fold([listing.make, listing.model, listing.year, listing.city, listing.description].join(' '));

/** The words of a search, of which every one must occur, in any order. */
export const wordsOf = (q) => fold(q).split(/\s+/).filter(Boolean);
