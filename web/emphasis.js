// What a reply emphasises, shown so: `*so*`, `**so**` and `_so_`, also while its words still come one by one.

import { h } from "./dom.js";

const MARKED = /(^|[^A-Za-z0-9*_])(\*{1,3}|_{1,3})([^\s*_](?:[^*_\n]*[^\s*_])?)(?:\2(?![A-Za-z0-9])|\s*$)/g;

/** The text as strings and elements, for `replaceChildren`. A mark that is not closed yet holds to the end. */
export function written(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(MARKED)) {
    const [whole, before, , inner] = match;
    parts.push(text.slice(from, match.index) + before, h("em", {}, inner));
    from = match.index + whole.length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}
