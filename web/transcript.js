// The conversation in writing: both sides, the user's words while they are still being recognised.

import { h } from "./dom.js";
import { written } from "./emphasis.js";
import { onLanguage, t } from "./i18n.js";

/** Typed lines that the server may repeat as a transcription; an older one is not a repetition any more. */
const ECHO_MS = 30_000;

const squeeze = (text) => text.replace(/\s+/g, " ").trim();
/** Japanese and Chinese are written without spaces between clauses. */
const joint = (text) => (/[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]$/.test(text) ? "" : " ");

export class Transcript {
  #list;
  #empty;
  #partial = null;
  #heard = null;
  #typed = [];
  #reply = null;

  constructor(list, empty) {
    this.#list = list;
    this.#empty = empty;
    onLanguage(() => this.#relabel());
  }

  /** A line that the user typed. `queued`: it waits for the connection. */
  typed(text, queued) {
    this.#typed.push({ text: squeeze(text), at: performance.now() });
    const entry = this.#add("user", text);
    entry.item.classList.toggle("queued", queued);
    if (queued) entry.note("transcript.queued");
  }

  /** A new session begins: what stands here so far is not in its memory. */
  divide() {
    this.#partial = null;
    this.#heard = null;
    this.#reply = null;
    if (this.#list.children.length && this.#list.lastElementChild.className !== "divide") {
      this.#list.append(h("li", { class: "divide", "aria-hidden": "true" }));
    }
  }

  /** The connection is there: nothing waits any more. */
  delivered() {
    for (const item of this.#list.querySelectorAll(".queued")) {
      item.classList.remove("queued");
      item.querySelector(".note").textContent = "";
      delete item.querySelector(".note").dataset.i18n;
    }
  }

  /**
   * A `user-transcription`: partial ones replace each other, the final one stays, unless a higher `revision` says that
   * the user had not finished: then the line goes on.
   */
  heard({ text = "", final, revision = 0 }) {
    if (final && this.#isEcho(text)) return;
    if (!text.trim()) {
      if (final) this.#dropPartial();
      return;
    }
    if (revision > 0) this.#partial ??= this.#heard;
    this.#partial ??= this.#add("user", "");
    this.#partial.write(text);
    this.#partial.item.classList.toggle("partial", !final);
    this.#heard = this.#partial;
    if (final) this.#partial = null;
    this.#scroll();
  }

  /** A piece of the reply, as the language model makes it: shown faintly until it is spoken. */
  thought(text) {
    this.#reply ??= this.#newReply(null);
    if (this.#reply.done) this.#reply = this.#newReply(null);
    this.#reply.planned += text;
    this.#paint(this.#reply);
  }

  /** A clause goes on that was held: so much was heard of its turn before. */
  again({ turn_id: turn, heard_text: heard }) {
    if (this.#reply?.turn !== turn) return;
    this.#reply.said = heard;
    this.#paint(this.#reply);
  }

  /** A word, or a clause, that is being heard now. */
  spoken({ turn_id: turn, text }) {
    if (this.#reply?.turn === null) this.#reply.turn = turn;
    if (this.#reply?.turn !== turn) this.#reply = this.#newReply(turn);
    if (this.#reply.done) return; // its sound is late: the entry holds the whole text already
    this.#reply.said += (this.#reply.said ? joint(this.#reply.said) : "") + text.trim();
    this.#paint(this.#reply);
  }

  /** An `interrupted` or `turn` message: from here on the entry holds what was really heard. */
  settled({ turn_id: turn, heard_text: heard, reply_text: reply, interrupted }) {
    const entry = this.#reply;
    if (!entry || (entry.turn !== null && entry.turn !== turn)) return;
    entry.turn = turn;
    entry.said = (interrupted ? heard : (reply ?? heard)) || entry.said;
    entry.planned = "";
    entry.done = true;
    if (interrupted) entry.note("transcript.interrupted");
    if (entry.said) this.#paint(entry);
    else entry.item.remove();
  }

  #newReply(turn) {
    return Object.assign(this.#add("avatar", ""), { turn, said: "", planned: "", done: false });
  }

  #paint(entry) {
    this.#heard = entry.said ? null : this.#heard;
    const said = squeeze(entry.said);
    const planned = squeeze(entry.planned);
    const rest = planned.startsWith(said) ? planned.slice(said.length) : "";
    entry.write(written(said), rest);
    this.#scroll();
  }

  #isEcho(text) {
    const now = performance.now();
    this.#typed = this.#typed.filter((line) => now - line.at < ECHO_MS);
    const index = this.#typed.findIndex((line) => line.text === squeeze(text));
    if (index >= 0) this.#typed.splice(index, 1);
    return index >= 0;
  }

  #dropPartial() {
    this.#partial?.item.remove();
    this.#partial = this.#heard = null;
  }

  #add(side, text) {
    const words = h("p", { class: "words" }, text);
    const note = h("p", { class: "note" });
    const who = h("p", { class: "who" }, t(`transcript.${side}`));
    who.dataset.side = side;
    const item = h("li", { class: side }, who, words, note);
    this.#list.append(item);
    this.#empty.hidden = true;
    this.#scroll();
    return {
      item,
      write: (said, rest = "") => words.replaceChildren(...[said].flat(), ...(rest ? [h("span", { class: "planned" }, ...written(rest))] : [])),
      note: (key) => {
        note.dataset.i18n = key;
        note.textContent = t(key);
      },
    };
  }

  #relabel() {
    for (const who of this.#list.querySelectorAll(".who")) who.textContent = t(`transcript.${who.dataset.side}`);
  }

  /** Follows the newest line, unless the reader has scrolled up. */
  #scroll() {
    const box = this.#list.parentElement;
    const near = box.scrollHeight - box.scrollTop - box.clientHeight < 160;
    if (near) box.scrollTop = box.scrollHeight;
  }
}
