/**
 * What the pages say: sentences of the catalogue that the page was rendered with, found by their key.
 *
 * The catalogue is one file a language (`words/` beside `templates/`); scripts hold no sentence of their own. What is
 * filled in is text, or nodes where a name from outside is to be set off; it is never parsed as markup (S-43).
 */

const catalogue = JSON.parse(document.getElementById("words").textContent);
const plurals = new Intl.PluralRules(catalogue.language);
const dates = new Intl.DateTimeFormat(catalogue.language, { dateStyle: "medium", timeStyle: "short" });

const found = (key) => key.split(".").reduce((part, name) => part?.[name], catalogue);

/** Whether there is such an entry: for codes that a later version of the service may add. */
export const known = (key) => found(key) !== undefined;

/** The first key that is known. */
export const firstKnown = (...keys) => keys.find(known);

function sentence(key) {
  const text = found(key);
  if (typeof text !== "string") throw new Error(`no words for ${key}`);
  return text;
}

/** The sentence, with `{name}` filled in. */
export const text = (key, values = {}) => sentence(key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** The sentence as strings and nodes, to be spread into an element: `values` may be nodes. */
export const phrase = (key, values) =>
  sentence(key).split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? values[part.slice(1, -1)] : part));

/** The sentence for so many of something. */
export function counted(key, count) {
  return text(firstKnown(`${key}.${plurals.select(count)}`, `${key}.other`), { count });
}

/** A time of the interface as a date and time of day here. */
export const when = (time) => dates.format(new Date(time));

/** One sentence for a refused request: ours by code, else by status, else the service's own. */
export function problem({ code, status, detail, title }) {
  if (code && known(`problems.${code}`)) return text(`problems.${code}`);
  if (status === 429) return text("problems.throttled");
  if (status === 503) return text("problems.unavailable");
  if (status >= 500) return text("problems.internal_error");
  return detail || title || text("problems.other");
}
