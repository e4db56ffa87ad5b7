"""The page in conversation: Start, video, voice, captions, transcript, Stop."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, expect

from tests.web.browser import Server, chromium, microphone_file, until
from tests.web.visit import Visit

LOUDNESS = """async () => {
  // The loudest moment, as RMS, of half a second of what the video element plays.
  const context = new AudioContext();
  await context.resume();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(document.querySelector("video").srcObject).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let loudest = 0;
  for (let i = 0; i < 10; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    analyser.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length));
  }
  await context.close();
  return loudest;
}"""

COUNT_QUESTIONS = """
window.__asked = 0;
const ask = navigator.mediaDevices.getUserMedia;
navigator.mediaDevices.getUserMedia = function (...rest) {
  window.__asked += 1;
  return ask.apply(this, rest);
};
"""


async def test_start_brings_a_moving_face_in_vp9(visit: Visit, server: Server) -> None:
    await visit.open(server)
    await visit.call()
    seen = await visit.until(lambda s: s["stats"] and (s["stats"]["video"] or {}).get("frames", 0) > 10, "frames come")
    assert seen["phase"] == "live"
    assert seen["stats"]["video"]["codec"] == "video/VP9"
    assert seen["stats"]["audio"]["codec"] == "audio/opus"
    side = server.portrait_width() * 0.5
    assert (seen["stats"]["video"]["width"], seen["stats"]["video"]["height"]) == (side, side)
    marks = seen["marks"]
    # A busy page hears of its connection later than the picture is on the screen.
    for last in ("connected", "first_frame"):
        order = ["click", "offer_sent", "answer", last]
        assert [marks[name] for name in order] == sorted(marks[name] for name in order)

    videos = await visit.page.evaluate(
        "[...document.querySelectorAll('video, audio')].map(v =>"
        " [v.tagName, v.srcObject.getTracks().map(t => t.kind).sort(), v.paused, v.muted, v.playsInline])"
    )
    assert videos == [["VIDEO", ["audio", "video"], False, False, True]]


async def test_the_page_asks_for_a_greeting(visit: Visit, server: Server) -> None:
    await visit.open(server)
    await visit.call()
    await visit.greeted()
    greeting = server.get("/config")["greeting"]
    assert await visit.lines("avatar") == [greeting]


async def test_a_typed_line_is_answered_aloud_with_captions(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.greeted()
    await page.evaluate(
        """() => {
          window.__shown = [];
          const line = document.getElementById("caption");
          new MutationObserver(() => line.textContent &&
            window.__shown.push({ text: line.textContent, at: window.__avatar.mediaTime() }))
            .observe(line, { childList: true });
        }"""
    )
    await visit.type("Who are you?")
    assert await page.get_by_role("textbox").first.input_value() == ""
    await visit.until(lambda s: s["state"] == "speaking", "the avatar speaks")
    assert await page.evaluate(LOUDNESS) > 0.003
    await expect(page.locator("#caption")).to_be_visible()
    seen = await visit.until(lambda s: len(s["turns"]) == 2, "the turn ended")

    turn = seen["turns"][-1]
    assert turn["user_text"] == "Who are you?"
    assert turn["reply_text"]
    assert await visit.lines("user") == ["Who are you?"]
    assert (await visit.lines("avatar"))[-1].split() == turn["reply_text"].split()

    captions = [c for c in await visit.frames("server:caption") if c["turn_id"] == turn["turn_id"] and c["text"]]
    last = captions[-1]["text"].split()[-1]
    await page.wait_for_function("word => window.__shown.at(-1)?.text.trim().endsWith(word)", arg=last)
    shown = await page.evaluate("window.__shown")
    lines = [
        a["text"] for a, b in zip(shown, [*shown[1:], {"text": ""}], strict=True) if not b["text"].startswith(a["text"])
    ]
    assert [line.split() for line in lines] == [c["text"].split() for c in captions], (
        "words fill a line for each clause"
    )
    words = [w for w in await visit.frames("server:word") if w["turn_id"] == turn["turn_id"]]
    assert " ".join(w["text"] for w in words).split() == turn["reply_text"].split()
    assert " ".join(c["text"] for c in captions).split() == turn["reply_text"].split()
    for word, moment in zip(words, shown, strict=True):
        # Never before its sound: a picture's length, and what the last picture's time leaves open, are forgiven.
        assert moment["at"] >= word["start_s"] - 0.08


async def test_the_microphone_is_heard_and_answered(server: Server, tmp_path: Path) -> None:
    async with chromium(microphone=microphone_file(tmp_path / "microphone.wav", "time", lead_s=4)) as browser:
        visit = Visit(browser)
        page = await visit.open(server)
        await page.evaluate("localStorage.setItem('avatar.tunables', '{\"greet\": false}')")
        await page.reload()
        levels: list[str] = []
        await visit.call()
        await expect(page.get_by_role("button", name="Microphone")).to_have_attribute("aria-pressed", "true")

        async def answered() -> bool:
            levels.append(await page.evaluate("document.getElementById('mic').style.getPropertyValue('--level')"))
            return bool((await visit.state())["turns"])

        await until(answered, "the recording was answered")
        assert max(float(level or 0) for level in levels) > 0.2
        turn = (await visit.state())["turns"][0]
        assert "time" in turn["user_text"].lower()
        assert await visit.lines("user") == [turn["user_text"]]
        assert (await visit.lines("avatar"))[0].split() == turn["reply_text"].split()
        assert await page.locator("#transcript .partial").count() == 0
        await visit.leave()


async def test_partial_transcripts_grow_in_place(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.greeted()
    deliver = """([text, final]) => window.__channels.at(-1).dispatchEvent(new MessageEvent("message", { data:
      JSON.stringify({ label: "rtvi-ai", type: "user-transcription", id: "1", data: { text, final } }) }))"""
    await page.evaluate(deliver, ["what", False])
    await page.evaluate(deliver, ["what is the", False])
    assert await visit.lines("user") == ["what is the"]
    assert await page.locator("#transcript .partial").count() == 1
    await page.evaluate(deliver, ["What is the time?", True])
    assert await visit.lines("user") == ["What is the time?"]
    assert await page.locator("#transcript .partial").count() == 0


async def test_a_revised_line_replaces_what_seemed_finished(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.greeted()
    deliver = """([text, final, revision]) => window.__channels.at(-1).dispatchEvent(new MessageEvent("message", { data:
      JSON.stringify({ label: "rtvi-ai", type: "user-transcription", id: "1", data: { text, final, revision } }) }))"""
    await page.evaluate(deliver, ["What is", True, 0])
    await page.evaluate(deliver, ["What is the", False, 1])
    assert await visit.lines("user") == ["What is the"]
    await page.evaluate(deliver, ["What is the time?", True, 1])
    assert await visit.lines("user") == ["What is the time?"]
    await page.evaluate(deliver, ["And the date?", True, 0])
    assert await visit.lines("user") == ["What is the time?", "And the date?"]


async def test_text_before_start_begins_a_session_without_the_microphone(visit: Visit, server: Server) -> None:
    page = await visit.open(server, before=COUNT_QUESTIONS)
    await visit.type("Hello")
    await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "the line was answered")
    assert await page.evaluate("window.__asked") == 0
    microphone = page.get_by_role("button", name="Microphone")
    await expect(microphone).to_have_attribute("aria-pressed", "false")
    assert await page.locator("#transcript .queued").count() == 0

    # It can join later, without a new connection.
    session = (await visit.state())["sessionId"]
    await microphone.click()
    await expect(microphone).to_have_attribute("aria-pressed", "true")

    async def sending() -> bool:
        return bool(
            await page.evaluate(
                """async () => [...(await window.__connections.at(-1).getStats()).values()]
                  .some(r => r.type === "outbound-rtp" && r.kind === "audio" && r.bytesSent > 0)"""
            )
        )

    await until(sending, "the microphone's sound is sent")
    assert (await visit.state())["sessionId"] == session


async def test_escape_and_the_button_interrupt(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    for way in ("key", "button"):
        before = len((await visit.state())["turns"])
        await visit.type("What can you do?")
        await expect(page.get_by_role("button", name="Interrupt")).to_be_visible()
        await visit.until(lambda s: s["state"] == "speaking", "the avatar speaks")
        if way == "key":
            await page.get_by_role("textbox").first.press("Escape")
        else:
            await visit.press("Interrupt")
        seen = await visit.until(lambda s, n=before: len(s["turns"]) > n, "the turn ended")
        assert seen["turns"][-1]["interrupted"]
        await expect(page.get_by_role("button", name="Interrupt")).to_be_hidden()
    await expect(page.locator("#transcript .avatar .note", has_text="interrupted").last).to_be_visible()


async def test_stop_frees_the_session_and_the_microphone(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    session = (await visit.state())["sessionId"]
    track = await page.evaluate_handle(
        "window.__connections[0].getSenders().find(s => s.track?.kind === 'audio')?.track"
    )
    assert (await page.request.get(f"{server.url}/sessions/{session}")).status == 200
    await visit.press("Stop")
    await expect(page.get_by_role("button", name="Start")).to_be_focused()
    seen = await visit.state()
    assert (seen["phase"], seen["sessionId"]) == ("idle", None)
    assert await page.evaluate("track => track.readyState", track) == "ended"

    async def gone() -> bool:
        return bool((await page.request.get(f"{server.url}/sessions/{session}")).status == 404)

    await until(gone, "the place is free")

    # And again from the beginning, as another session.
    await visit.call()
    assert (await visit.state())["sessionId"] != session


async def test_a_closed_tab_frees_its_place(browser: Browser, server: Server) -> None:
    visit = Visit(browser)
    await visit.open(server)
    await visit.call()
    session = (await visit.state())["sessionId"]
    await visit.page.close(run_before_unload=True)
    probe = await browser.new_page()

    async def gone() -> bool:
        return bool((await probe.request.get(f"{server.url}/sessions/{session}")).status == 404)

    await until(gone, "the place is free")
    await probe.close()
    await visit.leave()


async def test_muting(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    enabled = "window.__connections[0].getSenders().find(s => s.track?.kind === 'audio')?.track.enabled"
    await until(lambda: page.evaluate(f"{enabled} === true"), "the microphone is on")
    await visit.press("Microphone")
    assert await page.evaluate(enabled) is False
    await expect(page.get_by_role("button", name="Microphone")).to_have_attribute("aria-pressed", "false")
    await visit.press("Microphone")
    assert await page.evaluate(enabled) is True

    await visit.press("Sound")
    assert await page.evaluate("document.querySelector('video').muted") is True
    await visit.press("Sound")
    assert await page.evaluate("document.querySelector('video').muted") is False


async def test_statistics(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.type("Hello")
    await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "a turn ended")
    await page.keyboard.press("Alt+i")
    overlay = page.get_by_role("region", name="Statistics")
    await expect(overlay).to_be_visible()
    await expect(page.get_by_role("button", name="Statistics", exact=True)).to_have_attribute("aria-pressed", "true")

    async def figures() -> dict[str, str] | None:
        rows = await overlay.locator("[data-stat]").evaluate_all(
            "rows => rows.map(r => [r.dataset.stat, r.querySelector('dd').textContent])"
        )
        found = dict(rows)
        return found if found.get("offset", "–") != "–" and found["rtt"] != "–" else None

    shown = await until(figures, "every figure is there")
    side = round(server.portrait_width() * 0.5)
    assert shown["codec"] == "VP9 · opus"
    assert shown["size"] == f"{side} × {side}"
    for name, unit in {
        "video": "kbit/s",
        "audio": "kbit/s",
        "rtt": "ms",
        "loss": "%",
        "jitter": "ms",
        "offset": "ms",
    }.items():
        assert shown[name].endswith(unit)
    stages = await overlay.locator(".legend li").count()
    assert stages >= 4
    grown = await overlay.locator(".bar i").evaluate_all("parts => parts.map(p => Number(p.style.flexGrow))")
    assert len(grown) == stages
    turn = next(turn for turn in (await visit.state())["turns"] if turn["user_text"] == "Hello")
    assert abs(sum(grown) - turn["first_sent"]) < 1
    await overlay.get_by_role("button", name="Close the statistics").click()
    await expect(overlay).to_be_hidden()
