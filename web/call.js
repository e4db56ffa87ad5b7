// A call: the conversation with the server from Start to Stop, across lost connections and a full server.
//
// It knows nothing of the page. Events: "phase" (idle, connecting, live, waiting), "problem", "solved", "answer"
// (what the server agreed to), "stream" (the MediaStream to show), "rtvi" (a new channel, whose events carry what is
// told), "ready", "renewed" (the session was lost and another one goes on), "refused" (only the user can mend it).

import { ApiError, api } from "./api.js";
import { Peer } from "./peer.js";
import { Rtvi } from "./rtvi.js";
import { Silence } from "./silence.js";

/** Wait before the second attempt; it doubles with each further one, up to the longest. The real wait is drawn at random
 * from the upper half, so that the clients of a server that restarts do not all come at one moment. The first attempt
 * waits next to nothing: most connections that are lost are back at once over another path. */
const BACKOFF_MS = 500;
const FIRST_MS = 100;
const LONGEST_BACKOFF_MS = 15_000;
/** A connection that WebRTC calls "disconnected" often comes back by itself within this time. */
const GRACE_MS = 2500;
/** The server's sound and picture never stop. Nothing received for so long: the connection is gone. Before, another path
 * is looked for (`silence.js`). */
const SILENCE_MS = 4000;
const LOOK_MS = 50;
/** Between two attempts to tell the server of another path, while it cannot be reached. */
const RETRY_MS = 500;
/** How long an answered offer may take to connect; shorter when the answer brought relays that are worth trying. */
const CONNECT_MS = 12_000;
const CONNECT_DIRECT_MS = 3000;
/** An offer that is not answered within this time counts as a server that cannot be reached. */
const ANSWER_MS = 15_000;
/** Attempts without any media connection, though the server answers, before the advice changes to firewalls. */
const BLOCKED_AFTER = 2;

/**
 * `servers`, unless credentials among them have run out ("expiry:name", in Unix seconds), as on a page that was left
 * open overnight: none are better then, for the answer brings new ones.
 */
export function usable(servers, now = Date.now()) {
  return servers.some(({ username }) => Number.parseInt(username, 10) * 1000 <= now) ? [] : servers;
}

export class Call extends EventTarget {
  phase = "idle";
  sessionId = null;
  peer = null;
  rtvi = null;
  /** A peer that was lost stays open until its session goes on over another one: closing it would end the session. */
  #lostPeer = null;
  /** Moments of the current call, `performance.now()` milliseconds by name; the first of each name counts. */
  marks = {};
  #request = null;
  #microphone = null;
  #iceServers = [];
  #attempt = 0;
  #unconnected = 0;
  #timers = new Set();
  #queue = [];
  #silence = new Silence();
  #restarting = false;
  #watch = null;
  /** Relays that the server names before the first offer. */
  relays = [];

  /** `session()` gives the tunables that a new session is asked for. */
  constructor(session) {
    super();
    this.#request = session;
    const moved = () => this.phase === "live" && this.#restart();
    globalThis.addEventListener?.("online", moved);
    globalThis.navigator?.connection?.addEventListener?.("change", moved);
  }

  get active() {
    return this.phase !== "idle";
  }

  /** Begins a call; `moment` is when the user asked for it. */
  start(moment = performance.now()) {
    if (this.active) return;
    this.sessionId = null;
    this.marks = { click: moment };
    this.#attempt = 0;
    this.#unconnected = 0;
    this.#iceServers = this.relays;
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
    this.#phase("connecting");
    this.#connect();
  }

  /** Ends it for good and frees the place on the server. */
  stop() {
    if (!this.active) return;
    const id = this.sessionId;
    clearInterval(this.#watch);
    this.#drop();
    this.#forget();
    this.sessionId = null;
    this.#queue = [];
    this.#tell("solved", "connection");
    this.#phase("idle");
    if (id) api.end(id).catch(() => {});
  }

  /** Says `text` as the user, as soon as there is somebody to hear it. Returns whether it had to wait. */
  say(text) {
    if (this.rtvi?.ready) this.rtvi.text(text);
    else this.#queue.push(text);
    return !this.rtvi?.ready;
  }

  /** Tells the server what this side measures; resolves with what the server does, null when it cannot. */
  async report(reading) {
    try {
      return this.rtvi?.ready ? await this.rtvi.request("stats", reading) : null;
    } catch {
      return null;
    }
  }

  /** Changes tunables of the running session; resolves with the effective set. Raises Refused or ApiError. */
  async update(changes) {
    if (this.rtvi?.ready) return this.rtvi.request("session.update", changes);
    return api.tune(this.sessionId, changes);
  }

  /** Makes the avatar stop speaking. */
  async interrupt() {
    try {
      if (!this.rtvi?.ready) throw new Error("closed");
      await this.rtvi.request("interrupt");
    } catch {
      if (this.sessionId) await api.interrupt(this.sessionId).catch(() => {});
    }
  }

  /** The track that is sent as the user's voice; null for none. */
  setMicrophone(track) {
    this.#microphone = track;
    this.peer?.setMicrophone(track).catch(() => {});
  }

  /** Looks whether media still come in: the watch over a server, or a network, that vanished without a word. */
  #look() {
    if (this.phase !== "live") return;
    const silent = this.#silence.look(this.peer?.pulse ?? "", performance.now());
    if (silent > SILENCE_MS) this.#lost();
    else if (silent > this.#silence.patience) this.#restart();
  }

  /** Looks for another path, once in a silence. */
  async #restart() {
    const peer = this.peer;
    if (this.#restarting || !peer?.connected) return;
    this.#restarting = true;
    let pause = SILENCE_MS; // not again before this one can have helped
    try {
      await peer.restart(AbortSignal.timeout(SILENCE_MS));
      this.#silence.excuse();
    } catch (error) {
      if (error instanceof ApiError && error.status === 0) pause = RETRY_MS;
      else if (peer === this.peer) this.#lost();
    }
    setTimeout(() => (this.#restarting = false), pause);
  }

  /** Does not wait any longer before the next attempt. */
  retryNow() {
    if (this.phase !== "waiting") return;
    this.#clearTimers();
    this.#connect();
  }

  mark(name, moment = performance.now()) {
    this.marks[name] ??= moment;
  }

  async #connect() {
    this.#drop();
    this.#phase("connecting");
    this.#iceServers = usable(this.#iceServers);
    const peer = new Peer({
      iceServers: this.#iceServers,
      microphone: this.#microphone,
      mark: (name) => this.mark(name),
    });
    const rtvi = new Rtvi((text) => peer.send(text));
    this.peer = peer;
    this.rtvi = rtvi;
    peer.addEventListener("open", () => rtvi.hello());
    peer.addEventListener("message", ({ detail }) => rtvi.receive(detail));
    peer.addEventListener("lost", () => this.#lost());
    peer.addEventListener("state", ({ detail }) => this.#state(detail));
    rtvi.addEventListener("bot-ready", () => this.#ready());
    rtvi.addEventListener("error", ({ detail }) => detail?.fatal && this.#ended(detail.error ?? detail.message));
    this.#tell("rtvi", rtvi);

    const resumed = this.sessionId;
    const known = this.#iceServers.length > 0;
    const body = { session: this.#request() };
    if (resumed) Object.assign(body, { session_id: resumed, restart_pc: true });
    let answer;
    try {
      answer = await peer.connect(body, AbortSignal.timeout(ANSWER_MS));
    } catch (error) {
      if (peer === this.peer) this.#refused(error);
      return;
    }
    if (peer !== this.peer) {
      // Stop came while the answer was on its way: the place that was taken is given back.
      if (answer.session_id !== this.sessionId) api.end(answer.session_id).catch(() => {});
      return;
    }
    this.#forget();
    this.sessionId = answer.session_id;
    this.#iceServers = answer.ice_servers ?? [];
    this.#tell("answer", { ...answer, resumed: resumed === answer.session_id });
    if (resumed && resumed !== answer.session_id) this.#tell("renewed");
    this.#tell("stream", peer.stream);
    // The first offer knew no relays; its answer may have brought some, worth trying when the direct way is barred.
    const relays = this.#iceServers.length > 0 && !known;
    this.#after(relays ? CONNECT_DIRECT_MS : CONNECT_MS, () => {
      if (peer !== this.peer || peer.connected) return;
      if (relays) this.#connect();
      else this.#again({ key: ++this.#unconnected >= BLOCKED_AFTER ? "connection.failed" : "connection.lost" });
    });
  }

  #state(state) {
    if (state === "connected") {
      this.#unconnected = 0;
      this.#silence.begin(performance.now());
      this.#phase("live");
      this.#tell("solved", "connection");
    } else if (state === "disconnected") {
      const peer = this.peer;
      this.#restart();
      this.#after(GRACE_MS, () => peer === this.peer && peer.connectionState === "disconnected" && this.#lost());
    }
  }

  #ready() {
    this.#attempt = 0;
    for (const text of this.#queue.splice(0)) this.rtvi.text(text);
    this.#tell("ready");
  }

  #lost() {
    if (this.active && this.phase !== "waiting") this.#again({ key: "connection.lost" });
  }

  #ended(message) {
    this.stop();
    this.#tell("problem", { key: "error.ended", values: { message } });
  }

  /** The offer failed: some failures pass with time, others need the user. */
  #refused(error) {
    if (!(error instanceof ApiError)) {
      this.stop();
      this.#tell("problem", { key: "error.other", values: { message: error.message } });
    } else if (error.status === 0 || error.status === 502 || error.status === 504) {
      this.#again({ key: "server.gone" });
    } else if (error.code === "at_capacity") {
      this.#again({ key: "error.at_capacity", values: error.details }, error.retryAfter ?? 5);
    } else if (error.status === 503 || error.status === 429) {
      this.#again({ key: "error.not_ready", values: { message: error.message } }, error.retryAfter ?? 2);
    } else if (error.status === 404 && this.sessionId) {
      this.sessionId = null;
      this.#connect();
    } else {
      this.stop();
      this.#tell("refused", error);
    }
  }

  /** Tries again after `seconds`, or after a time that grows with each attempt. */
  #again(problem, seconds) {
    this.#drop();
    const longest = this.#attempt ? Math.min(LONGEST_BACKOFF_MS, BACKOFF_MS * 2 ** (this.#attempt - 1)) : FIRST_MS;
    const wait = seconds === undefined ? longest * (0.5 + Math.random() / 2) : seconds * 1000;
    this.#attempt += 1;
    this.#phase("waiting");
    this.#tell("problem", { ...problem, retryAt: performance.now() + wait });
    this.#after(wait, () => this.#connect());
  }

  /** Lets go of the current peer. */
  #drop() {
    this.#clearTimers();
    this.peer?.silence();
    if (this.#lostPeer) this.peer?.close();
    else this.#lostPeer = this.peer;
    this.rtvi?.close();
    this.peer = null;
    this.rtvi = null;
  }

  #forget() {
    this.#lostPeer?.close();
    this.#lostPeer = null;
  }

  #after(ms, act) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #clearTimers() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #phase(phase) {
    if (phase === this.phase) return;
    this.phase = phase;
    this.#tell("phase", phase);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
