// One WebRTC connection to the server: offer, trickled candidates, the two tracks and the data channel.
//
// The offer is posted before any candidate is known: the server learns this side from the first connectivity check,
// which spares the 120 ms that gathering takes. Candidates follow by PATCH only where that was not enough.

import { api } from "./api.js";

/** Milliseconds after the answer within which a direct connection is up; only then are candidates worth a request. */
const TRICKLE_AFTER_MS = 150;

export class Peer extends EventTarget {
  #pc;
  #channel;
  #audio;
  #candidates = [];
  #sessionId = null;
  #closed = false;

  /** Wakes the browser's WebRTC before it is needed: the first connection of a page costs 12 ms more than the next. */
  static async warm() {
    const pc = new RTCPeerConnection();
    pc.addTransceiver("audio");
    pc.addTransceiver("video");
    await pc.createOffer();
    pc.close();
  }

  /** `mark(name)` is told when a stage of the connection is reached. */
  constructor({ iceServers = [], microphone = null, mark = () => {} } = {}) {
    super();
    this.mark = mark;
    this.stream = new MediaStream();
    this.#pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    // A sending transceiver from the beginning: the microphone joins by replaceTrack, whenever it is allowed,
    // without a new offer.
    this.#audio = this.#pc.addTransceiver("audio", { direction: "sendrecv", streams: [new MediaStream()] });
    this.#pc.addTransceiver("video", { direction: "recvonly" });
    if (microphone) this.setMicrophone(microphone);
    this.#channel = this.#pc.createDataChannel("rtvi", { ordered: true });
    this.#channel.onopen = () => {
      this.mark("channel_open");
      this.#tell("open");
    };
    this.#channel.onmessage = ({ data }) => this.#tell("message", data);
    this.#channel.onclose = () => this.#tell("lost", "closed");
    this.#pc.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      this.#tell("track", track);
    };
    this.#pc.onicecandidate = ({ candidate }) => this.#gathered(candidate);
    this.#pc.onconnectionstatechange = () => {
      const state = this.#pc.connectionState;
      this.mark(state);
      if (state === "failed") this.#tell("lost", state);
      else this.#tell("state", state);
    };
  }

  /** Posts the offer with `body`'s further fields, takes the answer and returns its body. Raises ApiError. */
  async connect(body, signal) {
    await this.#pc.setLocalDescription();
    this.mark("offer_sent");
    const { type, sdp } = this.#pc.localDescription;
    const answer = await api.offer({ type, sdp, ...body }, signal);
    this.mark("answer");
    this.#sessionId = answer.session_id;
    if (this.#closed) return answer;
    await this.#pc.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    setTimeout(() => this.#trickle(), TRICKLE_AFTER_MS);
    return answer;
  }

  get connected() {
    return this.#pc.connectionState === "connected";
  }

  get connectionState() {
    return this.#pc.connectionState;
  }

  get channelOpen() {
    return this.#channel.readyState === "open";
  }

  send(text) {
    this.#channel.send(text);
  }

  setMicrophone(track) {
    return this.#audio.sender.replaceTrack(track);
  }

  stats() {
    return this.#pc.getStats();
  }

  /** Tells nothing any more. */
  silence() {
    this.#closed = true;
  }

  close() {
    this.silence();
    this.#pc.close();
  }

  #gathered(candidate) {
    if (!candidate?.candidate) return;
    this.#candidates.push({
      candidate: candidate.candidate,
      sdpMid: candidate.sdpMid,
      sdpMLineIndex: candidate.sdpMLineIndex,
    });
    if (this.#sessionId) this.#trickle();
  }

  async #trickle() {
    const late = this.connected || this.#closed || !this.#sessionId;
    if (late || this.#pc.signalingState !== "stable" || !this.#candidates.length) return;
    const batch = this.#candidates.splice(0);
    try {
      await api.candidates(this.#sessionId, batch);
    } catch {
      // The connection does without them or is reported as lost.
    }
  }

  #tell(type, detail) {
    if (!this.#closed) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
