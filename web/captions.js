// What the avatar is saying, shown while it is heard.

import { written } from "./emphasis.js";

/** How far a caption may lie ahead of the picture before its time is taken for wrong and it is shown at once. */
const FARTHEST_S = 30;
/** How long the last words stay after they were spoken. */
const LINGER_MS = 2500;
/** How often the time is read while a caption waits: a few pictures' worth. */
const TICK_MS = 100;

export class Captions extends EventTarget {
  #line;
  #text = "";
  #time;
  #waiting = [];
  #timer = null;
  #clear = null;

  /** `line` is the element to write into; `time()` the media time in seconds on the screen, or null. */
  constructor(line, time) {
    super();
    this.#line = line;
    this.#time = time;
  }

  /**
   * A `caption` message. It is shown when its sound is heard, and told as a "spoken" event; one that comes `by_word`
   * is a line that its words fill. The rest of a clause that was held is told as a "again" event first.
   */
  add(caption) {
    this.#waiting.push(caption);
    this.#tick();
  }

  /** A `word` message: shown and told as "spoken" when it is heard. */
  word(word) {
    this.#waiting.push({ ...word, word: true });
    this.#tick();
  }

  /** The turn was cut: what has not been heard of it never will be. */
  cut(turnId) {
    this.#waiting = this.#waiting.filter((caption) => caption.turn_id !== turnId);
    this.#hideSoon();
  }

  /** Nobody speaks any more. */
  clear() {
    clearTimeout(this.#timer);
    clearTimeout(this.#clear);
    this.#timer = this.#clear = null;
    this.#waiting = [];
    this.#write("");
  }

  #tick() {
    clearTimeout(this.#timer);
    while (this.#waiting.length && this.#wait(this.#waiting[0]) <= 0) this.#show(this.#waiting.shift());
    if (this.#waiting.length) {
      this.#timer = setTimeout(() => this.#tick(), Math.min(TICK_MS, this.#wait(this.#waiting[0])));
    }
  }

  /** Milliseconds until the caption's sound. */
  #wait(caption) {
    const now = this.#time();
    if (now === null || typeof caption.start_s !== "number") return 0;
    const ahead = caption.start_s - now;
    return ahead > FARTHEST_S ? 0 : ahead * 1000;
  }

  #show(caption) {
    if (caption.word) {
      this.#write(this.#text + caption.text);
    } else {
      if (typeof caption.heard_text === "string") this.#tell("again", caption);
      this.#write(caption.by_word ? "" : caption.text);
    }
    if (!caption.by_word) this.#tell("spoken", caption);
    this.#hideSoon(Math.max(0, (caption.end_s - caption.start_s) * 1000 || 0));
  }

  #write(text) {
    this.#text = text;
    this.#line.replaceChildren(...written(text));
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #hideSoon(spoken = 0) {
    clearTimeout(this.#clear);
    this.#clear = setTimeout(() => {
      this.#write("");
    }, spoken + LINGER_MS);
  }
}
