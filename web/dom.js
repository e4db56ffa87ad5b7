// The few helpers that every part of the page needs to make elements.

export const $ = (id) => document.getElementById(id);

/** An element: `h("p", { class: "hint", onclick }, "text", child)`. Falsy children are left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "type" && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
}

/** An icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** What the browser remembers for this page; private windows may refuse, and then nothing is remembered. */
export const memory = {
  get(key) {
    try {
      return JSON.parse(localStorage.getItem(`avatar.${key}`));
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`avatar.${key}`, JSON.stringify(value));
    } catch {
      // Not remembered: nothing depends on it.
    }
  },
};
