// One form control for each type of tunable. All have the same shape:
// { element, label(badge), get(), set(value), focus(), describe(ids), invalid(bool) }.

import { h } from "./dom.js";
import { known, t } from "./i18n.js";

/** The control for `spec`; `changed(value)` is called with what the user set, also while a slider is dragged. */
export function makeControl(name, spec, id, label, changed) {
  return (makers[spec.type] ?? string)(name, spec, id, label, changed);
}

const makers = { number: slider, integer: slider, bitrate, triple, choice, boolean: checkbox, string };

function base(input, id, text) {
  return {
    element: input,
    label: (badge) => h("label", { for: id }, text, badge),
    focus: () => input.focus(),
    describe: (ids) => input.setAttribute("aria-describedby", ids),
    invalid: (yes) => input.setAttribute("aria-invalid", String(yes)),
  };
}

/** A number with a slider for the hand and a field for the exact value. */
function slider(name, spec, id, text, changed) {
  const step = spec.type === "number" ? 0.05 : 1;
  const range = h("input", { type: "range", id, min: String(spec.min), max: String(spec.max), step: String(step) });
  const exact = h("input", { type: "number", min: String(spec.min), max: String(spec.max), step: "any", "aria-label": text });
  const read = () => (exact.value === "" ? null : Number(exact.value));
  range.oninput = () => {
    exact.value = range.value;
    changed(read());
  };
  exact.onchange = () => {
    range.value = exact.value;
    changed(read());
  };
  const shared = base(range, id, text);
  return {
    ...shared,
    element: h("div", { class: "pair" }, range, exact),
    get: read,
    set: (value) => {
      range.value = exact.value = String(value);
    },
    describe: (ids) => [range, exact].forEach((input) => input.setAttribute("aria-describedby", ids)),
    invalid: (yes) => exact.setAttribute("aria-invalid", String(yes)),
  };
}

/** A number, or "auto". */
function bitrate(name, spec, id, text, changed) {
  const field = h("input", { type: "number", id, min: String(spec.min), max: String(spec.max), step: "10" });
  const auto = h("input", { type: "checkbox", id: `${id}-auto` });
  const read = () => (auto.checked ? "auto" : field.value === "" ? null : Number(field.value));
  const sync = () => {
    field.disabled = auto.checked;
    if (!auto.checked && field.value === "") field.value = "750"; // A usual talking head at 512 pixels.
  };
  field.onchange = () => changed(read());
  auto.onchange = () => {
    sync();
    changed(read());
  };
  return {
    ...base(field, id, text),
    element: h("div", { class: "pair" }, field, h("label", { class: "inline", for: auto.id }, auto, t("settings.automatic"))),
    get: read,
    set: (value) => {
      auto.checked = value === "auto";
      field.value = value === "auto" ? "" : String(value);
      sync();
    },
  };
}

/** Three whole numbers, each with its own name. */
function triple(name, spec, id, text, changed) {
  const fields = spec.default.map((_, i) =>
    h("input", { type: "number", id: i ? `${id}-${i}` : id, min: String(spec.min[i]), max: String(spec.max[i]), step: "1" }),
  );
  const read = () => fields.map((field) => (field.value === "" ? null : Number(field.value)));
  for (const field of fields) field.onchange = () => changed(read());
  const group = h(
    "div",
    { class: "triple-fields", role: "group", "aria-labelledby": `${id}-label` },
    fields.map((field, i) => h("label", { for: field.id }, t(`tunable.${name}.${i}`), field)),
  );
  return {
    ...base(fields[0], id, text),
    element: group,
    label: (badge) => h("p", { class: "label", id: `${id}-label` }, text, badge),
    get: read,
    set: (value) => value.forEach((part, i) => (fields[i].value = String(part))),
    describe: (ids) => group.setAttribute("aria-describedby", ids),
    invalid: (yes) => fields.forEach((field) => field.setAttribute("aria-invalid", String(yes))),
  };
}

function choice(name, spec, id, text, changed) {
  const words = (value) => (known(`choice.${name}.${value}`) ? t(`choice.${name}.${value}`) : value);
  const select = h("select", { id }, spec.choices.map((value) => h("option", { value }, words(value))));
  select.onchange = () => changed(select.value);
  return { ...base(select, id, text), get: () => select.value, set: (value) => (select.value = value) };
}

function checkbox(name, spec, id, text, changed) {
  const box = h("input", { type: "checkbox", id });
  box.onchange = () => changed(box.checked);
  return { ...base(box, id, text), get: () => box.checked, set: (value) => (box.checked = value) };
}

/** Text; empty means the engine's own choice where that is allowed, else the default. */
function string(name, spec, id, text, changed) {
  const long = name === "instructions";
  const empty = spec.nullable ? t("settings.engine") : String(spec.default);
  const field = h(long ? "textarea" : "input", { id, placeholder: empty, autocomplete: "off", ...(long ? { rows: "3" } : { type: "text" }) });
  const read = () => field.value.trim() || (spec.nullable ? null : spec.default);
  field.onchange = () => changed(read());
  const list = spec.suggestions?.length && h("datalist", { id: `${id}-list` }, spec.suggestions.map((value) => h("option", { value })));
  if (list) field.setAttribute("list", list.id);
  return {
    ...base(field, id, text),
    element: list ? h("div", { class: "field" }, field, list) : field,
    get: read,
    set: (value) => (field.value = value ?? ""),
  };
}
