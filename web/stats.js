// What getStats knows, once a second, as the figures a person asks for. No element is touched here.

const EVERY_MS = 1000;
/** Packets of 20 ms between two readings from which sound counts as running. */
const SPOKEN_PACKETS = 25;

const rate = (now, before, key) =>
  before && now.timestamp > before.timestamp ? ((now[key] - before[key]) * 1000) / (now.timestamp - before.timestamp) : 0;

/** Mean time in the jitter buffer, in ms, of what left it since `before`. */
function buffered(now, before) {
  const count = now.jitterBufferEmittedCount - (before?.jitterBufferEmittedCount ?? 0);
  return count > 0 ? ((now.jitterBufferDelay - (before?.jitterBufferDelay ?? 0)) / count) * 1000 : 0;
}

/** Share of packets lost, 0 to 1, since `before`. */
function lost(now, before) {
  const missing = now.packetsLost - (before?.packetsLost ?? 0);
  const all = missing + now.packetsReceived - (before?.packetsReceived ?? 0);
  return all > 0 ? Math.max(0, missing) / all : 0;
}

/**
 * One reading, from two RTCStatsReports as maps of id → row (`before` may be empty). Rates are over the time between
 * them. `offset_ms` is how much later the sound is than the picture of the same moment, by libwebrtc's own estimate
 * of the sender's time that is being played; null until sender reports have arrived.
 */
export function digest(report, before = new Map()) {
  const rows = [...report.values()];
  const inbound = (kind) => rows.find((row) => row.type === "inbound-rtp" && row.kind === kind);
  const video = inbound("video");
  const audio = inbound("audio");
  const transport = rows.find((row) => row.type === "transport");
  const pair =
    report.get(transport?.selectedCandidatePairId) ?? rows.find((row) => row.type === "candidate-pair" && row.nominated);
  const reading = { at: performance.now(), video: null, audio: null, rtt_ms: null, offset_ms: null, bytes: 0 };
  if (pair?.currentRoundTripTime !== undefined) reading.rtt_ms = pair.currentRoundTripTime * 1000;
  if (video) {
    const old = before.get(video.id);
    reading.video = {
      codec: report.get(video.codecId)?.mimeType ?? "",
      width: video.frameWidth ?? 0,
      height: video.frameHeight ?? 0,
      fps: video.framesPerSecond ?? rate(video, old, "framesDecoded"),
      kbps: (rate(video, old, "bytesReceived") * 8) / 1000,
      loss: lost(video, old),
      jitter_ms: buffered(video, old),
      variation_ms: (video.jitter ?? 0) * 1000,
      freezes: video.freezeCount ?? 0,
      frozen_s: video.totalFreezesDuration ?? 0,
      frames: video.framesDecoded ?? 0,
      dropped: video.framesDropped ?? 0,
      nack: video.nackCount ?? 0,
      pli: video.pliCount ?? 0,
    };
    reading.bytes += video.bytesReceived;
  }
  if (audio) {
    const old = before.get(audio.id);
    reading.audio = {
      codec: report.get(audio.codecId)?.mimeType ?? "",
      kbps: (rate(audio, old, "bytesReceived") * 8) / 1000,
      loss: lost(audio, old),
      jitter_ms: buffered(audio, old),
      variation_ms: (audio.jitter ?? 0) * 1000,
      // Comfort noise while nothing is said is no gap.
      concealed: (audio.concealedSamples ?? 0) - (audio.silentConcealedSamples ?? 0),
      played: audio.totalSamplesReceived ?? 0,
    };
    reading.bytes += audio.bytesReceived;
  }
  // While nothing is said hardly any sound is sent, and what the browser estimates of it is old.
  const spoken = audio && audio.packetsReceived - (before.get(audio.id)?.packetsReceived ?? 0) >= SPOKEN_PACKETS;
  if (spoken && video?.estimatedPlayoutTimestamp && audio.estimatedPlayoutTimestamp) {
    reading.offset_ms = video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp;
  }
  return reading;
}

/** Reads a peer's statistics while it is the current one. Events: "reading". */
export class StatsReader extends EventTarget {
  last = null;
  #timer = null;

  follow(peer) {
    this.stop();
    let before = new Map();
    this.#timer = setInterval(async () => {
      const timer = this.#timer;
      let report;
      try {
        report = await peer.stats();
      } catch {
        return; // Closed meanwhile.
      }
      if (timer !== this.#timer) return;
      this.last = digest(report, before);
      before = report;
      this.dispatchEvent(new CustomEvent("reading", { detail: this.last }));
    }, EVERY_MS);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
