// What is wrong, in words: one line for each problem, gone when the problem is.

import { h, icon } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

export class Notices {
  #box;
  #shown = new Map();
  #timer = null;

  constructor(box) {
    this.#box = box;
    onLanguage(() => this.#draw());
  }

  /**
   * Shows the sentence `key` in place `name`. `mild`: something to know, not an error. `retryAt`: moment of the next
   * try, counted down. `action`: {key, run}, a button. `keep`: it has no dismiss button.
   */
  show(name, notice) {
    this.#shown.set(name, notice);
    this.#draw();
  }

  clear(name) {
    if (this.#shown.delete(name)) this.#draw();
  }

  #draw() {
    clearInterval(this.#timer);
    const focused = this.#box.contains(document.activeElement) && document.activeElement.dataset.notice;
    this.#box.replaceChildren(...[...this.#shown].map(([name, notice]) => this.#line(name, notice)));
    if (focused) this.#box.querySelector(`[data-notice="${focused}"]`)?.focus();
    if ([...this.#shown.values()].some((notice) => notice.retryAt)) {
      this.#timer = setInterval(() => this.#count(), 500);
      this.#count();
    }
  }

  #line(name, { key, values, mild, action, keep, retryAt }) {
    // The countdown is for eyes only: read aloud each second it would drown everything else.
    return h(
      "div",
      { class: mild ? "notice mild" : "notice", role: mild ? "status" : "alert" },
      h("p", {}, t(key, values), retryAt && h("span", { class: "countdown", "aria-hidden": "true", "data-at": retryAt })),
      action && h("button", { type: "button", "data-notice": `${name}-act`, onclick: action.run }, t(action.key)),
      !keep &&
        h("button", { type: "button", class: "close", "data-notice": name, "aria-label": t("dismiss"), onclick: () => this.clear(name) }, icon("close")),
    );
  }

  #count() {
    for (const element of this.#box.querySelectorAll(".countdown")) {
      const seconds = Math.max(0, Math.ceil((Number(element.dataset.at) - performance.now()) / 1000));
      element.textContent = ` ${t("retry.in", { s: seconds })}`;
    }
  }
}
