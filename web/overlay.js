// The statistics over the face: what is being received, and where the time of the last turn went.

import { h, icon } from "./dom.js";
import { known, number, onLanguage, t } from "./i18n.js";

/** The waterfall's stages in the order in which they are usually reached. */
export const STAGES = [
  "endpoint",
  "stt_final",
  "llm_first_token",
  "first_clause",
  "tts_first_audio",
  "face_first_frame",
  "first_sent",
];

/**
 * The stages of a `turn` message as lengths: [{stage, from_ms, ms}], in the order in which they were reached. Stages
 * overlap when work was begun ahead of its turn; what was ready before its predecessor has no length of its own, and
 * what came after the first sound (the model's answer behind a "one moment") was no part of the wait for it.
 */
export function waterfall(turn) {
  const marks = turn.marks ?? turn;
  const sent = typeof marks.first_sent === "number" ? marks.first_sent : Infinity;
  let from = 0;
  return STAGES.filter((stage) => typeof marks[stage] === "number" && marks[stage] <= sent).map((stage) => {
    const row = { stage, from_ms: from, ms: Math.max(0, marks[stage] - from) };
    from = Math.max(from, marks[stage]);
    return row;
  });
}

const ms = (value) => `${number(value, 0)} ms`;
const stageName = (stage) => (known(`stage.${stage}`) ? t(`stage.${stage}`) : stage);

export class Overlay {
  #box;
  #figures = h("dl", { class: "figures" });
  #turnBox = h("div", { class: "turn" });
  #reading = null;
  #turn = null;
  #firstFrame = null;
  #server = null;

  constructor(box, onClose) {
    this.#box = box;
    this.onClose = onClose;
    onLanguage(() => this.#build());
  }

  get open() {
    return !this.#box.hidden;
  }

  toggle(open = !this.open) {
    this.#box.hidden = !open;
    if (open) this.#draw();
  }

  read(reading) {
    // While nothing is said the offset cannot be measured; the last one stands.
    this.#reading = { ...reading, offset_ms: reading.offset_ms ?? this.#reading?.offset_ms ?? null };
    if (this.open) this.#drawFigures();
  }

  /** What the server measures of this session: `{now, alarms}`. */
  server(quality) {
    this.#server = quality;
    if (this.open) this.#drawFigures();
  }

  /** Milliseconds from Start to the first picture of this call. */
  firstFrame(elapsed) {
    this.#firstFrame = elapsed;
    if (this.open) this.#drawFigures();
  }

  turn(turn) {
    this.#turn = turn;
    if (this.open) this.#drawTurn();
  }

  #build() {
    const close = h("button", { type: "button", class: "close", "aria-label": t("stats.close"), onclick: () => this.onClose() }, icon("close"));
    this.#box.replaceChildren(close, this.#figures, this.#turnBox);
    this.#draw();
  }

  #draw() {
    this.#drawFigures();
    this.#drawTurn();
  }

  #drawFigures() {
    const { video, audio, rtt_ms: rtt, offset_ms: offset } = this.#reading ?? {};
    if (!video) {
      this.#figures.replaceChildren(h("dd", {}, t("stats.none")));
      return;
    }
    const rows = {
      codec: `${video.codec.replace("video/", "")} · ${(audio?.codec ?? "").replace("audio/", "")}`,
      size: `${video.width} × ${video.height}`,
      fps: number(video.fps, 1),
      video: `${number(video.kbps, 0)} kbit/s`,
      audio: `${number(audio?.kbps ?? 0, 0)} kbit/s`,
      rtt: rtt === null ? "–" : `${number(rtt, 1)} ms`,
      loss: `${number(Math.max(video.loss, audio?.loss ?? 0) * 100, 1)} %`,
      jitter: `${number(video.jitter_ms, 0)} / ${ms(audio?.jitter_ms ?? 0)}`,
      freezes: video.freezes ? `${number(video.freezes)} (${number(video.frozen_s, 1)} s)` : "0",
      offset: offset === null ? "–" : ms(offset),
      ...this.#serverRows(),
      first: this.#firstFrame === null ? "–" : ms(this.#firstFrame),
    };
    this.#figures.replaceChildren(
      ...Object.entries(rows).map(([key, value]) => h("div", { "data-stat": key }, h("dt", {}, t(`stats.${key}`)), h("dd", {}, value))),
    );
  }

  #serverRows() {
    const { now, alarms = [] } = this.#server ?? {};
    if (!now) return {};
    const rate = (value) => (typeof value === "number" ? number(value, 0) : "–");
    const names = alarms.map(({ figure }) => (known(`alarm.${figure}`) ? t(`alarm.${figure}`) : figure));
    return {
      target: `${rate(now.target_kbps)} / ${rate(now.estimate_kbps)} kbit/s`,
      encode: typeof now.encode_ms === "number" ? `${number(now.encode_ms, 1)} ms` : "–",
      repairs: `${number(now.nack ?? 0)} / ${number(now.pli ?? 0)}`,
      alarms: names.length ? names.join(", ") : t("stats.alarms.none"),
    };
  }

  #drawTurn() {
    const stages = this.#turn ? waterfall(this.#turn) : [];
    if (!stages.length) {
      this.#turnBox.replaceChildren();
      return;
    }
    const total = stages.at(-1).from_ms + stages.at(-1).ms;
    const bar = h("div", { class: "bar", "aria-hidden": "true" });
    for (const { stage, ms: length } of stages) {
      const part = h("i", { class: `stage-${STAGES.indexOf(stage)}`, title: `${stageName(stage)}: ${ms(length)}` });
      part.style.flexGrow = String(length);
      bar.append(part);
    }
    const heard = typeof (this.#turn.marks ?? this.#turn).endpoint === "number";
    const cached = this.#turn.cached ?? [];
    const ahead = Object.keys(this.#turn.ahead_ms ?? {});
    const parts = [
      h("p", {}, t(heard ? "stats.turn" : "stats.turn.said"), " ", h("strong", {}, ms(total))),
      bar,
      h("ul", { class: "legend" }, stages.map(({ stage, ms: length }) => h("li", { class: `stage-${STAGES.indexOf(stage)}` }, h("i", { "aria-hidden": "true" }), stageName(stage), " ", h("b", {}, ms(length))))),
      cached.length > 0 && h("p", {}, t("stats.cached", { what: cached.map((stage) => (known(`engine.${stage}`) ? t(`engine.${stage}`) : stage)).join(", ") })),
      ahead.length > 0 && h("p", {}, t("stats.ahead", { what: ahead.map(stageName).join(", ") })),
    ];
    this.#turnBox.replaceChildren(...parts.filter(Boolean));
  }
}
