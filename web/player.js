// The one video element: what it plays, when its first picture stood on the screen, and what time it is in the media.

/** Ticks per second of a video RTP timestamp (RFC 3551, 90 kHz). */
const VIDEO_RATE = 90_000;
const WRAP = 2 ** 32;

export class Player extends EventTarget {
  #video;
  #origin = null;
  #now = null;
  #fresh = true;
  #watching = false;

  constructor(video) {
    super();
    this.#video = video;
    video.addEventListener("resize", () => this.dispatchEvent(new Event("size")));
  }

  get size() {
    return { width: this.#video.videoWidth, height: this.#video.videoHeight };
  }

  async play(stream) {
    this.#origin = null;
    this.#now = null;
    this.#fresh = true;
    this.#video.srcObject = stream;
    this.#watch();
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return; // Another stream has taken its place.
      this.muted = true;
      this.dispatchEvent(new Event("silenced"));
      await this.#video.play().catch(() => {});
    }
  }

  stop() {
    this.#video.srcObject = null;
  }

  get muted() {
    return this.#video.muted;
  }

  set muted(muted) {
    this.#video.muted = muted;
    if (!muted && this.#video.srcObject) this.#video.play().catch(() => {});
  }

  /** The video's RTP timestamp at media time 0, as the server tells it. */
  setOrigin(rtp) {
    this.#origin = rtp;
  }

  /**
   * Seconds of media time on the screen now, or null where the browser does not say. Without a word from the server
   * the first picture that was shown counts as media time 0.
   */
  mediaTime() {
    if (this.#origin === null || this.#now === null) return null;
    const ticks = (this.#now.rtp - this.#origin + WRAP) % WRAP;
    return ticks / VIDEO_RATE + (performance.now() - this.#now.at) / 1000;
  }

  #watch() {
    const video = this.#video;
    if (this.#watching) return;
    if (!video.requestVideoFrameCallback) {
      video.addEventListener("loadeddata", () => this.#first(performance.now()), { once: true });
      return;
    }
    this.#watching = true;
    const presented = (_, frame) => {
      this.#watching = Boolean(video.srcObject);
      if (!this.#watching) return;
      if (this.#fresh) this.#first(frame.presentationTime);
      if (frame.rtpTimestamp !== undefined) {
        this.#origin ??= frame.rtpTimestamp;
        this.#now = { rtp: frame.rtpTimestamp, at: frame.expectedDisplayTime };
      }
      video.requestVideoFrameCallback(presented);
    };
    video.requestVideoFrameCallback(presented);
  }

  #first(moment) {
    this.#fresh = false;
    this.dispatchEvent(new CustomEvent("first-frame", { detail: moment }));
  }
}
