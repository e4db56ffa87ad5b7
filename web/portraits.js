// The portraits: those that the server has, and a new one from a file, chosen or dropped, with a preview of its
// expressions and a way back for whoever dislikes it.

import { ApiError, api } from "./api.js";
import { h, icon } from "./dom.js";
import { number, onLanguage, t } from "./i18n.js";

const TYPES = ["image/jpeg", "image/png", "image/webp"];
/** What the server calls a portrait that came without a name. */
const NAMELESS = "Portrait";
const MB = 1_000_000;

/** What the preview of a portrait shows, in the order in which the server draws it. */
const EXPRESSIONS = ["rest", "ah", "ee", "oo", "smile", "shut"];

/** The server's codes that have a sentence of their own here. */
const SENTENCES = {
  no_face: "portrait.no_face",
  unsupported_media: "portrait.unsupported",
  too_large: "portrait.too_many_pixels",
  unreachable: "portrait.unreachable",
};

/** Events: "choose" with a portrait's id. */
export class Portraits extends EventTarget {
  #panel;
  #live;
  #list = [];
  #chosen = null;
  #limit = Infinity;
  #busy = null;
  #said = null;
  /** The portrait that was just brought along: its row, what was chosen before it, whether it is new to the server. */
  #fresh = null;

  /** `live()` tells whether a session runs, so that a choice shows with the next reply only. */
  constructor(panel, live) {
    super();
    this.#panel = panel;
    this.#live = live;
    onLanguage(() => this.#draw());
  }

  load(config, chosen) {
    this.#list = config.avatars;
    this.#limit = config.limits.portrait_bytes;
    this.#chosen = chosen ?? config.tunables.avatar.default;
    this.#draw();
  }

  has(id) {
    return this.#list.some((row) => row.avatar === id);
  }

  /** The portrait that a session uses, as the server says. */
  take(id) {
    if (id === this.#chosen) return;
    this.#chosen = id;
    this.#draw();
  }

  /** Where a portrait's picture lies and its shape, for the face before the first frame. */
  get current() {
    const row = this.#list.find((candidate) => candidate.avatar === this.#chosen);
    return row && { src: api.thumbnail(row.avatar), width: row.width, height: row.height };
  }

  /** Registers a file as a portrait and chooses it. */
  async upload(file) {
    if (this.#busy) return;
    if (!TYPES.includes(file.type)) return this.#say("portrait.not_image", { name: file.name }, true);
    if (file.size > this.#limit) {
      return this.#say("portrait.too_large", { size: number(file.size / MB, 1), mb: number(this.#limit / MB) }, true);
    }
    this.#busy = { progress: 0 };
    this.#said = null;
    this.#fresh = null;
    this.#draw();
    try {
      const row = await api.upload(file, (share) => this.#progress(share));
      const before = this.#chosen === row.avatar ? this.#list.find(({ builtin }) => builtin)?.avatar : this.#chosen;
      this.#fresh = { avatar: row.avatar, before, fresh: !this.has(row.avatar), drawn: "loading" };
      this.#list = [...this.#list.filter(({ avatar }) => avatar !== row.avatar), row];
      this.#busy = null;
      this.#choose(row.avatar);
      if (row.faces > 1) this.#say("portrait.several", { n: row.faces });
      else this.#say("portrait.done");
      this.#showPreview();
    } catch (error) {
      this.#busy = null;
      const code = error instanceof ApiError ? error.code : "";
      this.#say(SENTENCES[code] ?? "portrait.failed", { message: error.message }, true);
    }
  }

  /** Scrolls the panel alone: `scrollIntoView` would push the page itself out of the window, and nothing brings it back. */
  #showPreview() {
    const preview = this.#panel.querySelector(".preview");
    if (preview) this.#panel.scrollTop += preview.getBoundingClientRect().top - this.#panel.getBoundingClientRect().top;
  }

  #choose(id) {
    this.#chosen = id;
    this.dispatchEvent(new CustomEvent("choose", { detail: id }));
  }

  async #remove(id) {
    try {
      await api.removeAvatar(id);
    } catch (error) {
      this.#say("portrait.failed", { message: error.message }, true);
      return;
    }
    this.#list = this.#list.filter((row) => row.avatar !== id);
    if (this.#fresh?.avatar === id) this.#fresh = this.#said = null;
    if (this.#chosen === id && this.#list.length) this.#choose(this.#list[0].avatar);
    this.#draw();
    this.#panel.querySelector("input:checked")?.focus();
  }

  /** The portrait that was just brought along is not liked: as if it had never come. */
  async #back() {
    const { avatar, before, fresh } = this.#fresh;
    this.#fresh = this.#said = null;
    if (this.has(before)) this.#choose(before);
    if (fresh) await this.#remove(avatar);
    else this.#draw();
    this.#panel.querySelector("#portrait-choose")?.focus();
  }

  #keep() {
    this.#fresh = null;
    this.#draw();
    this.#panel.querySelector("input:checked")?.focus();
  }

  #progress(share) {
    this.#busy.progress = share;
    const bar = this.#panel.querySelector("progress");
    if (!bar) return;
    if (share < 1) bar.value = share;
    else bar.removeAttribute("value"); // All is sent; how long the face takes to find is not known.
    this.#panel.querySelector(".uploading span").textContent = t(share < 1 ? "portrait.uploading" : "portrait.preparing");
  }

  #say(key, values = {}, wrong = false) {
    this.#said = { key, values, wrong };
    this.#draw();
  }

  #name(row, index) {
    return row.name && row.name !== NAMELESS ? row.name : t("portrait.name", { n: index + 1 });
  }

  #draw() {
    const focused = this.#panel.contains(document.activeElement) ? document.activeElement.id : null;
    const file = h("input", { type: "file", id: "portrait-file", accept: TYPES.join(","), class: "hidden-visually", tabindex: "-1", "aria-hidden": "true" });
    file.onchange = () => file.files[0] && this.upload(file.files[0]);
    const next = !this.#said?.wrong && this.#said && this.#live();
    this.#panel.replaceChildren(
      ...(this.#fresh ? [this.#preview()] : []),
      h("fieldset", { class: "portraits" }, h("legend", { class: "hidden-visually" }, t("portrait.list")), this.#list.map((row, i) => this.#card(row, i))),
      h(
        "div",
        { class: "drop" },
        file,
        h("button", { type: "button", class: "quiet", id: "portrait-choose", disabled: Boolean(this.#busy), onclick: () => file.click() }, icon("picture"), h("span", {}, t("portrait.choose"))),
        h("p", { class: "hint" }, t("portrait.or", { mb: number(this.#limit / MB) })),
        this.#busy && h("div", { class: "uploading", role: "status" }, h("span", {}, t("portrait.uploading")), h("progress", { max: 1, value: this.#busy.progress, "aria-label": t("portrait.uploading") })),
        this.#said && h("p", { class: this.#said.wrong ? "field-error" : "said", role: this.#said.wrong ? "alert" : "status" }, t(this.#said.key, this.#said.values), next && ` ${t("portrait.next")}`),
      ),
    );
    if (focused) document.getElementById(focused)?.focus();
  }

  /** How the portrait that was just brought along will look, and the way back. */
  #preview() {
    const { avatar, before, drawn } = this.#fresh;
    const src = api.preview(avatar);
    const index = this.#list.findIndex((row) => row.avatar === before);
    const tiles = EXPRESSIONS.map((name, i) => {
      const image = h("img", { src, alt: t(`preview.alt.${name}`), draggable: "false" });
      // One strip of six squares: each image shows its own.
      image.style.objectPosition = `${(100 * i) / (EXPRESSIONS.length - 1)}% 0`;
      return h("li", {}, image, h("span", { "aria-hidden": "true" }, t(`preview.${name}`)));
    });
    tiles[0].firstChild.onload = () => this.#drawn("shown");
    tiles[0].firstChild.onerror = () => this.#drawn("failed");
    return h(
      "section",
      { class: "preview", "aria-labelledby": "preview-title" },
      h("h3", { id: "preview-title" }, t("preview.title")),
      drawn !== "shown" && h("p", { class: "hint", role: "status" }, t(`preview.${drawn}`)),
      drawn !== "failed" && h("ul", { "aria-busy": String(drawn === "loading") }, tiles),
      drawn === "shown" && h("p", { class: "hint" }, t("preview.hint")),
      h(
        "div",
        { class: "choices" },
        index >= 0 && h("button", { type: "button", class: "quiet", id: "preview-back", onclick: () => this.#back() }, t("preview.back", { name: this.#name(this.#list[index], index) })),
        h("button", { type: "button", class: "quiet", id: "preview-keep", onclick: () => this.#keep() }, t("preview.keep")),
      ),
    );
  }

  #drawn(state) {
    if (!this.#fresh || this.#fresh.drawn === state) return;
    this.#fresh.drawn = state;
    this.#draw();
  }

  #card(row, index) {
    const name = this.#name(row, index);
    const id = `portrait-${row.avatar}`;
    const radio = h("input", { type: "radio", name: "portrait", id, value: row.avatar, checked: row.avatar === this.#chosen, class: "hidden-visually" });
    radio.onchange = () => {
      this.#said = null;
      this.#choose(row.avatar);
      if (this.#live()) this.#say("portrait.next");
    };
    return h(
      "div",
      { class: "card" },
      radio,
      h("label", { for: id }, h("img", { src: api.thumbnail(row.avatar), alt: name, loading: "lazy", draggable: "false" })),
      !row.builtin &&
        h("button", { type: "button", class: "close", id: `${id}-remove`, "aria-label": t("portrait.remove", { name }), onclick: () => this.#remove(row.avatar) }, icon("close")),
    );
  }
}
