// What a developer would write with each player.

import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { WHEPClient } from "whip-whep/whep.js";

const video = document.querySelector("video");

window.players = {
  /** whip-whep: the caller makes the connection. */
  async whip(url, token) {
    const pc = new RTCPeerConnection();
    pc.addTransceiver("audio", { direction: "recvonly" });
    pc.addTransceiver("video", { direction: "recvonly" });
    const stream = new MediaStream();
    pc.ontrack = ({ track }) => stream.addTrack(track);
    video.srcObject = stream;
    const client = new WHEPClient();
    await client.view(pc, url, token);
    await video.play();
    window.leave = () => client.stop();
  },

  async eyevinn(url, token) {
    const player = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
    await player.load(new URL(url), token && `Bearer ${token}`);
    window.leave = () => player.unload();
  },
};
