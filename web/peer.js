// One WebRTC connection to the server: offer, trickled candidates, the two tracks and the data channel.
//
// The offer is posted before any candidate is known: the server learns this side from the first connectivity check,
// which spares the 120 ms that gathering takes. Candidates follow by PATCH only where that was not enough.

import { api } from "./api.js";

/** Milliseconds after the answer within which a direct connection is up; only then are candidates worth a request. */
const TRICKLE_AFTER_MS = 150;
/** How often the server is asked for candidates of its own that come late, while it looks for them. */
const ASK_AGAIN_MS = 300;

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

  /**
   * Looks for another path beneath the connection that goes on (ICE restart), as after a change of network. Raises
   * ApiError, or what the browser says of an answer that comes from another connection.
   */
  async restart(signal) {
    if (this.#closed || this.#pc.signalingState !== "stable") return;
    await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart: true }));
    const { type, sdp } = this.#pc.localDescription;
    let answer;
    try {
      answer = await api.offer({ type, sdp, session_id: this.#sessionId }, signal);
    } catch (error) {
      if (!this.#closed) await this.#pc.setLocalDescription({ type: "rollback" });
      throw error;
    }
    if (this.#closed) return;
    await this.#pc.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
  }

  /** Changes with every piece of media that is played; cheap enough to be read several times a second. */
  get pulse() {
    const sources = this.#pc.getReceivers().flatMap((receiver) => receiver.getSynchronizationSources?.() ?? []);
    return sources.map(({ timestamp }) => timestamp).join();
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

  #trickle() {
    const late = this.connected || this.#closed || !this.#sessionId;
    if (late || this.#pc.signalingState !== "stable" || !this.#candidates.length) return;
    this.#exchange(this.#candidates.splice(0));
  }

  /** Tells our candidates, takes the server's; asks again while it still looks for some. */
  async #exchange(batch) {
    try {
      const { candidates = [], gathering } = await api.candidates(this.#sessionId, batch);
      if (this.#closed || this.connected) return;
      for (const candidate of candidates) await this.#pc.addIceCandidate(candidate).catch(() => {});
      if (gathering) setTimeout(() => !this.#closed && !this.connected && this.#exchange([]), ASK_AGAIN_MS);
    } catch {
      // The connection does without them or is reported as lost.
    }
  }

  #tell(type, detail) {
    if (!this.#closed) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
