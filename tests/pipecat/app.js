// What a developer would write with the stock Pipecat client: connect, show the avatar, keep what is told.

import { PipecatClient, RTVIEvent } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager } from "@pipecat-ai/small-webrtc-transport";

const events = [];
const tell = (name, data) => events.push({ name, data, at: performance.now() });

// The default device manager loads code from its maker's web site; this one of the same package does not.
const transport = new SmallWebRTCTransport({ mediaManager: new WavMediaManager() });
const client = new PipecatClient({
  transport,
  enableMic: true,
  enableCam: false,
  callbacks: {
    onTrackStarted: (track, participant) => {
      if (participant?.local) return;
      tell("remoteTrack", track.kind);
      const element = document.querySelector(track.kind);
      element.srcObject = new MediaStream([track]);
      element.play();
    },
  },
});
for (const name of Object.values(RTVIEvent)) client.on(name, (data) => tell(name, data));

window.app = {
  events,
  client,
  connect: (endpoint, requestData) => client.connect({ webrtcRequestParams: { endpoint, requestData } }),
  request: (t, d) =>
    client.sendClientRequest(t, d, 5000).then(
      (value) => ({ value }),
      (error) => ({ error: error.data ?? String(error) }),
    ),
};
