// The panel of tunables, built from GET /config: nothing in it is known beforehand but the words for it.

import { h } from "./dom.js";
import { known, language, number, onLanguage, t } from "./i18n.js";
import { makeControl } from "./controls.js";

/** A slider sends while it is dragged, but not at every pixel. */
const SETTLE_MS = 150;

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A tunable's value as a person reads it. */
export function readable(name, value) {
  if (value === null || value === "") return t("settings.engine");
  if (value === "auto") return t("settings.automatic");
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "number") return number(Math.round(value * 100) / 100);
  if (typeof value === "boolean") return value ? "✓" : "–";
  return known(`choice.${name}.${value}`) ? t(`choice.${name}.${value}`) : String(value);
}

/** Why `value` cannot be sent, in words, or null. Only what the table says; the server judges the rest. */
export function objection(name, spec, value) {
  const inside = (v, low, high, whole) => typeof v === "number" && v >= low && v <= high && (!whole || Number.isInteger(v));
  if (spec.type === "triple") {
    const bad = value.findIndex((part, i) => !inside(part, spec.min[i], spec.max[i], true));
    if (bad < 0) return null;
    return t("settings.part", { part: t(`tunable.${name}.${bad}`), min: spec.min[bad], max: spec.max[bad] });
  }
  const whole = spec.type === "integer" || spec.type === "bitrate";
  if (value === "auto" || (!whole && spec.type !== "number") || inside(value, spec.min, spec.max, whole)) return null;
  return t(whole ? "settings.whole" : "settings.range", { min: spec.min, max: spec.max });
}

/** Events: "change" with {name, value, live} when the user has changed a tunable to something that may be sent. */
export class Settings extends EventTarget {
  /** What differs from the server's defaults, by name: what a new session is asked for. */
  chosen = {};
  #panel;
  #config = null;
  #own = {};
  #rows = new Map();
  #effective = null;
  #reason = null;
  #errors = new Map();

  constructor(panel) {
    super();
    this.#panel = panel;
    onLanguage(() => this.#draw());
  }

  /**
   * Takes the server's table. `own` are defaults of this page, where it wants others than the server's; `initial` is
   * what was chosen here before: what no longer fits is dropped.
   */
  load(config, own, initial) {
    this.#config = config;
    this.#own = own;
    this.chosen = {};
    for (const [name, value] of Object.entries({ ...own, ...initial })) {
      const spec = config.tunables[name];
      const fits = spec && (spec.type !== "triple" || Array.isArray(value)) && objection(name, spec, value) === null;
      if (fits && !(spec.choices && !spec.choices.includes(value))) this.chosen[name] = value;
    }
    this.#draw();
  }

  /** The server's table once more, when its engines know more about themselves than before. */
  learn(config) {
    this.#config = config;
    this.#draw();
  }

  /** What the running session really uses, and why where the server itself changed it ("network", "load"). */
  take(values, reason = null) {
    this.#effective = { ...this.#effective, ...values };
    this.#reason = reason;
    for (const [name, row] of this.#rows) {
      row.pending = false;
      this.#mark(name);
    }
  }

  /** The session is over: nothing is in effect. */
  release() {
    this.#effective = null;
    this.#reason = null;
    for (const name of this.#rows.keys()) this.#mark(name);
  }

  /** A change was refused; `message` is shown at its field. Returns false where there is no such field. */
  refuse(name, message) {
    delete this.chosen[name];
    if (!this.#rows.has(name)) return false;
    this.#errors.set(name, message);
    this.#rows.get(name).pending = false;
    this.#mark(name);
    return true;
  }

  focus(name) {
    this.#rows.get(name)?.control.focus();
  }

  /** A tunable that is chosen elsewhere on the page (the portrait); `told` is what a running session is told of it. */
  choose(name, value, told = value) {
    const spec = this.#config?.tunables[name];
    if (spec && same(value, spec.default) && !(name in this.#own)) delete this.chosen[name];
    else this.chosen[name] = value;
    this.dispatchEvent(new CustomEvent("change", { detail: { name, value: told, live: spec?.live ?? false } }));
  }

  #draw() {
    if (!this.#config) {
      this.#panel.replaceChildren(h("p", { class: "hint" }, t("settings.unavailable")));
      return;
    }
    // A redraw must not take away what is being typed, nor the keyboard's place.
    const focused = this.#panel.contains(document.activeElement) ? document.activeElement.id : null;
    this.#rows.clear();
    const rows = Object.entries(this.#config.tunables)
      .filter(([name]) => name !== "avatar")
      .map(([name, spec]) => this.#row(name, spec));
    this.#panel.replaceChildren(
      h("p", { class: "hint" }, t("settings.intro")),
      ...rows,
      h("button", { type: "button", class: "quiet", id: "settings-reset", onclick: () => this.#reset() }, t("settings.reset")),
      this.#about(),
    );
    for (const name of this.#rows.keys()) this.#mark(name);
    if (focused) document.getElementById(focused)?.focus();
  }

  #row(name, spec) {
    const id = `tunable-${name}`;
    const label = known(`tunable.${name}`) ? t(`tunable.${name}`) : name;
    const effect = language() !== "en" && known(`effect.${name}`) ? t(`effect.${name}`) : spec.effect;
    const control = makeControl(name, this.#withSuggestions(name, spec), id, label, (value) => this.#changed(name, value));
    control.set(this.chosen[name] ?? spec.default);
    const error = h("p", { class: "field-error", id: `${id}-error`, role: "alert" });
    const effective = h("p", { class: "effective", id: `${id}-effective` });
    const when = t(`settings.when.${spec.when ?? (spec.live ? "reply" : "no")}`);
    const row = h(
      "div",
      { class: `tunable ${spec.type}`, "data-name": name },
      control.label(spec.live && h("span", { class: "badge" }, t("settings.live"))),
      control.element,
      h("p", { class: "effect", id: `${id}-effect` }, effect, " ", h("span", { class: "when" }, when)),
      effective,
      error,
    );
    control.describe(`${id}-effect ${id}-effective ${id}-error`);
    this.#rows.set(name, { control, error, effective, timer: null, commit: null, pending: false });
    return row;
  }

  /** Voices and languages that the server has are offered while the name is typed; others may still be right. */
  #withSuggestions(name, spec) {
    if (name === "voice") return { ...spec, suggestions: (this.#config.voices ?? []).map((voice) => voice.name ?? voice) };
    if (name === "language") return { ...spec, suggestions: ["auto", "en", "ja"] };
    return spec;
  }

  #changed(name, value) {
    const row = this.#rows.get(name);
    const spec = this.#config.tunables[name];
    clearTimeout(row.timer);
    row.commit = null;
    const problem = objection(name, spec, value);
    if (problem) {
      this.#errors.set(name, problem);
      this.#mark(name);
      return;
    }
    this.#errors.delete(name);
    row.pending = Boolean(this.#effective) && spec.live;
    this.#mark(name);
    row.commit = () => {
      clearTimeout(row.timer);
      row.commit = null;
      this.choose(name, value);
    };
    row.timer = setTimeout(row.commit, SETTLE_MS);
  }

  /** What a new session is asked for, with what was changed a moment ago and has not settled yet. */
  wanted() {
    for (const row of this.#rows.values()) row.commit?.();
    return this.chosen;
  }

  #reset() {
    const names = [...new Set([...Object.keys(this.chosen), ...this.#errors.keys()])].filter((name) => this.#rows.has(name));
    this.#errors.clear();
    this.#draw();
    for (const name of names) {
      const spec = this.#config.tunables[name];
      const value = this.#own[name] ?? spec.default;
      this.#rows.get(name).control.set(value);
      // What a preset makes is given back to it: the default would hold against every preset.
      this.choose(name, value, spec.preset && !(name in this.#own) ? null : value);
      this.#mark(name);
    }
  }

  /** Writes beside a field what is really in effect where that is not what it shows, and what is wrong with it. */
  #mark(name) {
    const { control, error, effective, pending } = this.#rows.get(name);
    const message = this.#errors.get(name) ?? "";
    error.textContent = message;
    control.invalid(Boolean(message));
    const value = this.#effective?.[name]; // Undefined as well before a session runs.
    let text = "";
    const ignored = this.#effective?.ignored ?? this.#config.ignored ?? [];
    if (ignored.includes(name)) text = t("settings.ignored");
    else if (!pending && value !== undefined && !same(value, control.get())) {
      const key = this.#config.tunables[name].live && this.#reason ? `settings.reason.${this.#reason}` : "settings.effective";
      text = t(known(key) ? key : "settings.effective", { value: readable(name, value) });
    }
    effective.textContent = text;
  }

  #about() {
    const { engines = {}, limits = {} } = this.#config;
    const places = limits.sessions;
    return h(
      "section",
      { class: "about" },
      h("h2", {}, t("settings.about")),
      h(
        "dl",
        {},
        Object.entries(engines).flatMap(([role, engine]) => [
          h("dt", {}, known(`engine.${role}`) ? t(`engine.${role}`) : role),
          h("dd", {}, h("strong", {}, engine?.name ?? String(engine)), engine?.why && h("span", {}, engine.why), engine?.note && h("span", {}, engine.note)),
        ]),
      ),
      places && h("p", { class: "hint" }, t("settings.places", { n: places })),
    );
  }
}
