// The user's microphone: permission, mute, loudness.

/** How often the level meter is read: fast enough to look alive, slow enough to cost nothing. */
const METER_MS = 80;
/** Loudness, in dBFS, at which the meter is empty and full. */
const FLOOR_DB = -60;
const CEILING_DB = -12;

/** What keeps a microphone from working, by the name of the browser's exception. */
const PROBLEMS = {
  NotAllowedError: "mic.blocked",
  SecurityError: "mic.blocked",
  NotFoundError: "mic.none",
  OverconstrainedError: "mic.none",
  NotReadableError: "mic.busy",
  AbortError: "mic.busy",
};

export class Microphone extends EventTarget {
  track = null;
  #context = null;
  #timer = null;
  #asked = 0;

  /** The key of a sentence that says why there can be no microphone on this page at all, or null. */
  static get impossible() {
    if (!window.isSecureContext) return "mic.insecure";
    return navigator.mediaDevices?.getUserMedia ? null : "mic.none";
  }

  get live() {
    return this.track !== null && this.track.enabled;
  }

  /** Asks for the microphone. Resolves with its track, or raises an Error whose `key` names the sentence to show. */
  async open() {
    if (this.track) return this.track;
    const impossible = Microphone.impossible;
    if (impossible) throw Object.assign(new Error(impossible), { key: impossible });
    const turn = ++this.#asked;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw Object.assign(new Error(error.message), { key: PROBLEMS[error.name] ?? "mic.failed" });
    }
    const [track] = stream.getAudioTracks();
    if (turn !== this.#asked) {
      track.stop(); // Stop was pressed while the browser was asking.
      return null;
    }
    this.track = track;
    track.onended = () => {
      this.close();
      this.dispatchEvent(new Event("ended"));
    };
    this.#meter(stream);
    return track;
  }

  mute(muted) {
    if (this.track) this.track.enabled = !muted;
  }

  close() {
    this.#asked += 1;
    clearInterval(this.#timer);
    this.#context?.close();
    this.#context = null;
    if (this.track) {
      this.track.onended = null;
      this.track.stop();
    }
    this.track = null;
    this.#level(0);
  }

  #meter(stream) {
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 1024;
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      if (document.hidden) return;
      analyser.getFloatTimeDomainData(samples);
      let power = 0;
      for (const sample of samples) power += sample * sample;
      const db = 10 * Math.log10(power / samples.length + 1e-12);
      this.#level(this.live ? Math.min(1, Math.max(0, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB))) : 0);
    }, METER_MS);
  }

  #level(level) {
    this.dispatchEvent(new CustomEvent("level", { detail: level }));
  }
}
