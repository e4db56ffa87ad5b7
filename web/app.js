// The page: puts its parts together. The conversation itself is in call.js.
//
// For tests and benchmarks `window.__avatar` shows, read-only:
//   phase     idle | connecting | live | waiting
//   state     idle | listening | thinking | speaking, as the server says
//   sessionId the server's name of the session, or null
//   marks     performance.now() of: click, offer_sent, answer, connected, channel_open, ready, first_frame
//   stats     the last reading of stats.js, once a second while connected
//   turns     the `turn` messages of this page, oldest first
//   session   the effective tunables, and `ignored`: those that this face has no use for
//   mediaTime() seconds of media time on the screen

import { ApiError, api } from "./api.js";
import { Call } from "./call.js";
import { Captions } from "./captions.js";
import { $, memory } from "./dom.js";
import { known, onLanguage, preferred, speak, t } from "./i18n.js";
import { Microphone } from "./microphone.js";
import { Notices } from "./notices.js";
import { Overlay } from "./overlay.js";
import { Peer } from "./peer.js";
import { Player } from "./player.js";
import { Portraits } from "./portraits.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { StatsReader } from "./stats.js";
import { Tabs } from "./tabs.js";
import { Transcript } from "./transcript.js";

/** How often engines that are loading, and a server that is away, are asked again. */
const ASK_AGAIN_MS = 1500;
/** Every second reading of the statistics is told to the server. */
const REPORT_EVERY = 2;
let readings = 0;

const microphone = new Microphone();
const notices = new Notices($("notices"));
const player = new Player($("video"));
const stage = new Stage($("face"), $("poster"));
const captions = new Captions($("caption"), () => player.mediaTime());
const transcript = new Transcript($("transcript"), $("transcript-empty"));
const settings = new Settings($("settings"));
const stats = new StatsReader();
const overlay = new Overlay($("stats"), () => toggleStats(false));
const tabs = new Tabs(document.querySelector('[role="tablist"]'));
const call = new Call(() => settings.wanted());
const portraits = new Portraits($("portrait"), () => call.active);

/** What the page knows beyond its parts. */
const view = {
  state: "idle",
  loading: false,
  /** Whether the microphone is to be on, as the user last chose; and whether it is in this call. */
  micWanted: true,
  micOn: true,
  turns: [],
  session: null,
  defaults: null,
};

Object.defineProperty(window, "__avatar", {
  value: Object.freeze({
    get phase() { return call.phase; },
    get state() { return view.state; },
    get sessionId() { return call.sessionId; },
    get marks() { return { ...call.marks }; },
    get stats() { return stats.last; },
    get turns() { return [...view.turns]; },
    get session() { return view.session; },
    mediaTime: () => player.mediaTime(),
  }),
});

// ---- Start, Stop, microphone, sound -------------------------------------------------------------------------------

function start(moment, { withMicrophone = view.micWanted } = {}) {
  if (call.active) return;
  for (const name of ["connection", "renewed", "refused", "microphone"]) notices.clear(name);
  view.micOn = withMicrophone;
  call.start(moment);
  if (withMicrophone) openMicrophone();
  transcript.divide();
  drawMicrophone();
}

async function openMicrophone() {
  notices.clear("microphone");
  try {
    const track = await microphone.open();
    if (track && call.active) call.setMicrophone(track);
    else microphone.close();
  } catch (error) {
    view.micOn = false;
    notices.show("microphone", { key: error.key ?? "mic.failed", mild: true });
  }
  drawMicrophone();
}

function toggleMicrophone() {
  view.micOn = view.micWanted = !view.micOn;
  if (call.active) {
    if (view.micOn && !microphone.track) openMicrophone();
    else microphone.mute(!view.micOn);
  }
  drawMicrophone();
}

function drawMicrophone() {
  $("mic").setAttribute("aria-pressed", String(view.micOn));
  $("mic").title = t(view.micOn ? "mic.hint.on" : "mic.hint.off");
  $("mic").classList.toggle("asking", call.active && view.micOn && !microphone.track);
  drawStatus();
}

function setSound(on) {
  player.muted = !on;
  $("sound").setAttribute("aria-pressed", String(on));
  if (on) notices.clear("sound");
}

function send(text) {
  const words = text.trim();
  if (!words) return;
  const fresh = !call.active;
  if (fresh) start(performance.now(), { withMicrophone: false });
  transcript.typed(words, call.say(words));
  if (fresh) tabs.show("conversation");
}

// ---- The call -----------------------------------------------------------------------------------------------------

call.addEventListener("phase", ({ detail: phase }) => {
  const running = phase !== "idle";
  const moving = document.activeElement === $(running ? "start" : "stop");
  $("start").hidden = running;
  $("stop").hidden = !running;
  if (moving) $(running ? "stop" : "start").focus();
  if (phase === "live") stats.follow(call.peer);
  else stats.stop();
  if (phase !== "live") setState("idle");
  if (!running) {
    player.stop();
    stage.playing = false;
    microphone.close();
    call.setMicrophone(null);
    view.micOn = view.micWanted;
    view.session = null;
    captions.clear();
    settings.release();
    drawMicrophone();
  }
  drawStatus();
});

call.addEventListener("stream", ({ detail: stream }) => player.play(stream));
call.addEventListener("answer", ({ detail: answer }) => takeSession(answer));
call.addEventListener("ready", () => transcript.delivered());
call.addEventListener("problem", ({ detail: { retryAt, ...problem } }) => {
  const retry = retryAt && { key: "retry.now", run: () => call.retryNow() };
  notices.show("connection", { ...problem, retryAt, action: retry, keep: Boolean(retryAt) });
});
call.addEventListener("solved", () => notices.clear("connection"));
call.addEventListener("renewed", () => notices.show("renewed", { key: "connection.renewed", mild: true }));
call.addEventListener("refused", ({ detail: error }) => refused(error));

call.addEventListener("rtvi", ({ detail: rtvi }) => {
  const on = (type, act) => rtvi.addEventListener(type, ({ detail }) => act(detail ?? {}));
  on("bot-ready", (data) => {
    call.mark("ready");
    takeOrigin(data.about?.media);
  });
  on("user-transcription", (data) => transcript.heard(data));
  on("bot-llm-text", ({ text }) => text && transcript.thought(text));
  on("bot-started-speaking", () => setState("speaking"));
  on("bot-stopped-speaking", () => view.state === "speaking" && setState("idle"));
  on("error", (data) => {
    const message = data.error ?? data.message;
    if (message && !data.fatal) notices.show("engine", { key: "error.engine", values: { message } });
  });
  on("server:state", ({ state }) => setState(state));
  on("server:caption", (caption) => captions.add(caption));
  on("server:word", (word) => captions.word(word));
  on("server:held", ({ turn_id: turn }) => captions.cut(turn));
  on("server:interrupted", (cut) => {
    captions.cut(cut.turn_id);
    transcript.settled({ ...cut, interrupted: true });
  });
  on("server:turn", (turn) => {
    view.turns.push(turn);
    overlay.turn(turn);
    transcript.settled(turn);
  });
  on("server:session", takeSession);
});

captions.addEventListener("again", ({ detail: caption }) => transcript.again(caption));
captions.addEventListener("spoken", ({ detail: caption }) => transcript.spoken(caption));

player.addEventListener("first-frame", ({ detail: moment }) => {
  call.mark("first_frame", moment);
  stage.playing = true;
  overlay.firstFrame(call.marks.first_frame - call.marks.click);
});
player.addEventListener("size", () => stage.shape(player.size.width, player.size.height));
player.addEventListener("silenced", () => {
  setSound(false);
  notices.show("sound", { key: "sound.blocked", mild: true, action: { key: "sound.allow", run: () => setSound(true) } });
});

stats.addEventListener("reading", ({ detail: reading }) => {
  overlay.read(reading);
  if (++readings % REPORT_EVERY === 0) call.report(reading).then((quality) => quality && overlay.server(quality));
});

/** Takes what is in effect, from an answer, a `server-response` or a `session` message: one shape for all. */
function takeSession(message) {
  const values = message.session ?? message;
  view.session = { ...view.session, ...values };
  settings.take(values, message.reason);
  if (typeof values.avatar === "string") {
    portraits.take(values.avatar);
    stage.portrait(portraits.current);
  }
}

function takeOrigin(media) {
  if (Number.isInteger(media?.video_rtp)) player.setOrigin(media.video_rtp);
}

function setState(state) {
  view.state = state;
  $("page").dataset.state = state;
  $("interrupt").hidden = state !== "speaking";
  drawStatus();
}

/** The server said no to the offer in a way that only the user can mend. */
function refused(error) {
  if (error.status === 401) {
    askToken(() => start(performance.now()));
    return;
  }
  if (error.field === "avatar" || (error.status === 404 && settings.chosen.avatar)) {
    settings.choose("avatar", view.defaults.avatar.default);
    portraits.take(view.defaults.avatar.default);
    notices.show("refused", { key: "avatar.gone", mild: true });
    start(performance.now());
    return;
  }
  if (error.field && settings.refuse(error.field, error.message)) {
    tabs.show("settings");
    settings.focus(error.field);
  }
  notices.show("refused", { key: "error.offer", values: { message: error.message } });
}

// ---- Tunables and portraits -------------------------------------------------------------------------------------

settings.addEventListener("change", async ({ detail: { name, value, live } }) => {
  memory.set("tunables", settings.chosen);
  if (!call.sessionId || !live) return;
  try {
    takeSession((await call.update({ [name]: value })) ?? {});
  } catch (error) {
    const message = error.message && error.message !== "timeout" && error.message !== "closed" ? error.message : t("settings.unreachable");
    if (!settings.refuse(error.field ?? name, message)) {
      notices.show("refused", { key: "error.other", values: { message } });
    }
    memory.set("tunables", settings.chosen);
  }
});

portraits.addEventListener("choose", ({ detail: id }) => {
  settings.choose("avatar", id);
  if (!call.active) stage.portrait(portraits.current);
});

// ---- The server's table, its engines, its token -------------------------------------------------------------------

async function load() {
  let config;
  try {
    config = await api.config();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      askToken(load);
    } else {
      notices.show("server", error.status ? { key: "error.other", values: { message: error.message } } : { key: "server.gone", keep: true });
      setTimeout(load, ASK_AGAIN_MS);
    }
    return;
  }
  notices.clear("server");
  view.defaults = config.tunables;
  call.relays = config.ice_servers ?? [];
  settings.load(config, { greet: true }, memory.get("tunables") ?? {});
  portraits.load(config, settings.chosen.avatar);
  if (settings.chosen.avatar && !portraits.has(settings.chosen.avatar)) {
    settings.choose("avatar", config.tunables.avatar.default);
    portraits.take(config.tunables.avatar.default);
  }
  stage.portrait(portraits.current);
  const limit = config.limits?.text_characters;
  if (limit) $("text").maxLength = limit;
  watchEngines();
  Peer.warm().catch(() => {});
}

/** Tells while engines load; the page can be used meanwhile. */
async function watchEngines() {
  try {
    await api.ready();
    notices.clear("engines");
    // What the engines offer (voices, room, what the face ignores) is in the table only now.
    if (view.loading) settings.learn(await api.config());
    view.loading = false;
  } catch (error) {
    view.loading = error.status === 503;
    if (view.loading) {
      const missing = Object.keys(error.body?.missing ?? {});
      const names = missing.map((role) => (known(`engine.${role}`) ? t(`engine.${role}`) : role));
      notices.show("engines", { key: "server.loading", values: { what: names.join(", ") }, mild: true, keep: true });
    }
    setTimeout(watchEngines, ASK_AGAIN_MS);
  }
  drawStatus();
}

/** Asks for the token, and goes on with `then` once the server takes it. */
function askToken(then) {
  const dialog = $("token-dialog");
  const wrong = $("token-error");
  wrong.textContent = "";
  $("token-form").onsubmit = async (event) => {
    event.preventDefault();
    try {
      await api.token($("token").value.trim());
      await api.config();
    } catch (error) {
      wrong.textContent = t(error.status === 401 ? "token.wrong" : "server.gone");
      return;
    }
    $("token").value = "";
    dialog.close();
    then();
  };
  if (!dialog.open) dialog.showModal();
}

// ---- What is always there -----------------------------------------------------------------------------------------

function drawStatus() {
  const { phase } = call;
  let key = phase;
  if (phase === "idle" && view.loading) key = "loading";
  if (phase === "live" && microphone.live) key = "open";
  if (phase === "live" && view.state !== "idle") key = view.state;
  $("page").dataset.phase = phase;
  $("status").dataset.i18n = `status.${key}`;
  $("status").textContent = t(`status.${key}`);
}

function toggleStats(open) {
  overlay.toggle(open);
  $("stats-toggle").setAttribute("aria-pressed", String(overlay.open));
  memory.set("stats", overlay.open);
}

function listen() {
  $("start").addEventListener("click", (event) => start(event.timeStamp || performance.now()));
  $("stop").addEventListener("click", () => call.stop());
  $("mic").addEventListener("click", toggleMicrophone);
  $("sound").addEventListener("click", () => setSound(player.muted));
  $("interrupt").addEventListener("click", () => call.interrupt());
  $("stats-toggle").addEventListener("click", () => toggleStats());
  $("language").addEventListener("click", () => speak(t("language.other.tag"), { remember: true }));

  microphone.addEventListener("level", ({ detail }) => $("mic").style.setProperty("--level", detail.toFixed(2)));
  microphone.addEventListener("ended", () => {
    view.micOn = false;
    call.setMicrophone(null);
    notices.show("microphone", { key: "mic.lost", mild: true });
    drawMicrophone();
  });

  // Enter that confirms a conversion of an input method is not Enter. Safari reports it after the composition has
  // ended, and then only the key code 229 tells.
  let composing = false;
  $("text").addEventListener("compositionstart", () => (composing = true));
  $("text").addEventListener("compositionend", () => (composing = false));
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (composing) return;
    send($("text").value);
    $("text").value = "";
  });

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || $("token-dialog").open) return;
    if (event.altKey && event.code === "KeyI") {
      event.preventDefault();
      toggleStats();
    } else if (event.key === "Escape") {
      if ($("stats").contains(document.activeElement)) {
        toggleStats(false);
        $("stats-toggle").focus();
      } else if (view.state === "speaking") call.interrupt();
    }
  });

  // A picture may be dropped anywhere; elsewhere the browser would leave the page for it.
  let depth = 0;
  const dragging = (over) => document.body.classList.toggle("dragging", over);
  const files = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => files(event) && dragging(++depth > 0));
  document.addEventListener("dragleave", (event) => files(event) && dragging(--depth > 0));
  document.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    dragging(false);
    const [file] = event.dataTransfer.files;
    if (!file) return;
    tabs.show("portrait");
    portraits.upload(file);
  });

  window.addEventListener("online", () => call.retryNow());
  document.addEventListener("visibilitychange", () => document.hidden || call.retryNow());
  // A page that is left gives its place back at once.
  window.addEventListener("pagehide", () => call.stop());
  onLanguage(() => {
    $("language").textContent = t("language.other");
    $("language").lang = t("language.other.tag");
    $("language").setAttribute("aria-label", t("language.switch"));
    drawMicrophone();
    drawStatus();
  });
}

listen();
speak(preferred());
if (memory.get("stats")) toggleStats(true);
if (window.RTCPeerConnection) load();
else {
  notices.show("webrtc", { key: "webrtc.missing", keep: true });
  for (const id of ["start", "text", "mic"]) $(id).disabled = true;
}
