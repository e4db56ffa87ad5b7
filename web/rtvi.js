// RTVI 2.1 on the data channel: {"label":"rtvi-ai","type","id","data"} in text frames.

export const PROTOCOL = "2.1.0";
const LABEL = "rtvi-ai";

/** Milliseconds a request waits for its answer. */
const REPLY_TIMEOUT_MS = 8000;

/** An `error-response`: what the server says against a request, and in `detail` the error of the HTTP routes. */
export class Refused extends Error {
  constructor({ error = "", detail = {} } = {}) {
    super(error);
    this.code = detail.code;
    this.field = detail.field;
  }
}

/**
 * Speaks the protocol over `send(text)`. Events carry the message's data and are named by its type ("bot-ready",
 * "user-transcription", …); ours, inside `server-message`, are named "server:" and their `t`.
 */
export class Rtvi extends EventTarget {
  #send;
  #waiting = new Map();
  #count = 0;
  ready = false;

  constructor(send) {
    super();
    this.#send = send;
  }

  /** The channel is open: asks for `bot-ready`. */
  hello() {
    this.#post("client-ready", { version: PROTOCOL, about: { library: "streaming-avatar-page" } });
  }

  text(content, options = {}) {
    this.#post("send-text", { content, options });
  }

  /** A `client-message` that is answered: resolves with the answer's `d`, rejects with Refused. */
  request(t, d) {
    const id = this.#post("client-message", d === undefined ? { t } : { t, d });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error("timeout"));
      }, REPLY_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** One text frame as it came. What is not RTVI, and types that are not known, are ignored. */
  receive(frame) {
    let message;
    try {
      message = JSON.parse(frame);
    } catch {
      return;
    }
    if (message?.label !== LABEL || typeof message.type !== "string") return;
    const { type, id, data } = message;
    if (type === "server-response") this.#settle(id, (waiting) => waiting.resolve(data?.d));
    else if (type === "error-response") this.#settle(id, (waiting) => waiting.reject(new Refused(data)));
    else if (type === "server-message") this.#tell(`server:${data?.t}`, data);
    else {
      if (type === "bot-ready") this.ready = true;
      this.#tell(type, data);
    }
  }

  /** The channel is gone: nobody waits any longer. */
  close() {
    this.ready = false;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Error("closed"));
    }
    this.#waiting.clear();
  }

  #post(type, data) {
    const id = `p${++this.#count}`;
    this.#send(JSON.stringify({ label: LABEL, type, id, data }));
    return id;
  }

  #settle(id, act) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(id);
    act(waiting);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
