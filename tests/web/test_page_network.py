"""The page on networks that block, break off and change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.absent import absent
from tests.play.relay import coturn
from tests.web.browser import Server, until
from tests.web.visit import Visit

RELAY_ONLY = """
const Real = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Real {
  constructor(config) { super({ ...config, iceTransportPolicy: "relay" }); }
};
"""
PATH = """async () => {
  const report = await window.__connections.at(-1).getStats();
  const rows = [...report.values()];
  const transport = rows.find((row) => row.type === "transport");
  const pair = report.get(transport?.selectedCandidatePairId);
  return pair ? report.get(pair.localCandidateId).candidateType : null;
}"""
STILL = """
window.__still = false;
const sources = RTCRtpReceiver.prototype.getSynchronizationSources;
RTCRtpReceiver.prototype.getSynchronizationSources = function () {
  return window.__still ? [] : sources.call(this);
};
"""
UFRAG = "window.__connections[0].localDescription.sdp.match(/a=ice-ufrag:(\\S+)/)[1]"


async def test_a_page_that_only_reaches_a_relay(
    visit: Visit, own_server: Callable[..., Server], tmp_path: Path
) -> None:
    if shutil.which("turnserver") is None:
        absent("coturn is not installed: sudo apt install coturn")
    with coturn(tmp_path) as relay:
        server = own_server("--ice-server", relay.url("udp"), "--turn-secret", relay.secret)
        page = await visit.open(server, before=RELAY_ONLY)
        await visit.call()
        assert await page.evaluate(PATH) == "relay"
        await visit.type("Hello")
        await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "the line was answered")
        await visit.press("Stop")


async def test_a_silence_is_answered_with_another_path(visit: Visit, server: Server) -> None:
    page = await visit.open(server, before=STILL)
    await visit.call()
    session = (await visit.state())["sessionId"]
    before = await page.evaluate(UFRAG)
    await page.evaluate("window.__still = true")

    async def restarted() -> bool:
        return bool(await page.evaluate(UFRAG) != before)

    await until(restarted, "ICE was restarted")
    await page.evaluate("window.__still = false")
    await visit.type("Hello")
    await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "the line was answered")
    seen = await visit.state()
    assert seen["sessionId"] == session and seen["phase"] == "live"


async def test_the_page_and_the_server_tell_each_other_what_they_measure(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    session = (await visit.state())["sessionId"]

    async def both() -> bool:
        quality = server.get(f"/sessions/{session}")["quality"]
        return bool(quality["now"] and quality["now"].get("client", {}).get("fps"))

    await until(both, "the server knows what the page sees")
    await page.keyboard.press("Alt+I")
    await until(lambda: page.locator('[data-stat="encode"]').count(), "the overlay shows the server's figures")
    assert await page.locator('[data-stat="alarms"]').inner_text()
