"""The panel of tunables: built from the server's table, live where it can be, honest about what is in effect."""

from __future__ import annotations

from playwright.async_api import expect

from tests.web.browser import Server, until
from tests.web.visit import Visit

LABELS = {
    "frame_scale": "Picture size",
    "fps": "Pictures per second",
    "sampling_timesteps": "Denoising steps",
    "chunk_config": "History",
    "bitrate_kbps": "Video bitrate (kbit/s)",
    "codec": "Video codec",
    "emotion": "Mood",
    "mode": "Mode",
    "voice": "Voice",
    "language": "Conversation language",
    "instructions": "Instructions",
    "interruptible": "Your voice interrupts",
    "greet": "Greeting",
    "preset": "Manner",
    "intensity": "Expression",
    "gaze_x": "Gaze sideways (°)",
    "gaze_y": "Gaze up (°)",
    "head_pitch": "Head raised (°)",
    "head_yaw": "Head turned (°)",
    "head_roll": "Head leaning (°)",
    "blink_rate": "Blinks a minute",
}


async def test_every_tunable_of_the_server_has_a_field(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.show("Settings")
    config = server.get("/config")
    assert set(config["tunables"]) == set(LABELS) | {"avatar"}, "a new tunable needs its words in web/i18n.js"
    panel = page.get_by_role("tabpanel", name="Settings")
    for name, label in LABELS.items():
        field = panel.get_by_label(label).first
        await expect(field).to_be_visible()
        spec = config["tunables"][name]
        if spec["type"] in ("number", "integer"):
            assert float(await field.get_attribute("min") or 0) == spec["min"]
            assert float(await field.get_attribute("max") or 0) == spec["max"]
            assert float(await field.input_value()) == spec["default"]
        if spec["type"] == "choice":
            assert await field.locator("option").evaluate_all("all => all.map(o => o.value)") == spec["choices"]
        row = page.locator(f".tunable[data-name={name}]")
        await expect(row.locator(".effect")).to_contain_text(spec["effect"])
        assert await row.locator(".badge").count() == int(spec["live"])
    for name in config["ignored"]:
        await expect(page.locator(f"#tunable-{name}-effective")).to_have_text("This face has no use for it.")


async def test_a_live_tunable_changes_the_picture_at_once(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.show("Settings")
    await page.get_by_role("slider", name="Picture size").fill("0.25")
    side = server.portrait_width() * 0.25
    await until(lambda: page.evaluate(f"document.querySelector('video').videoWidth === {side}"), "a smaller picture")
    seen = await visit.state()
    assert seen["session"]["frame_scale"] == 0.25
    assert server.get(f"/sessions/{seen['sessionId']}")["session"]["frame_scale"] == 0.25
    assert await page.get_by_role("spinbutton", name="Picture size").input_value() == "0.25"


async def test_what_is_fixed_waits_for_the_next_start(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.show("Settings")
    await page.get_by_label("Video codec").select_option("vp8")
    await expect(page.locator("#tunable-codec-effective")).to_have_text("In effect: vp9")
    await visit.press("Stop")
    await expect(page.locator("#tunable-codec-effective")).to_be_empty()
    await visit.call()
    await visit.until(lambda s: s["stats"] and (s["stats"]["video"] or {}).get("codec") == "video/VP8", "VP8 comes")


async def test_mistakes_are_shown_at_their_field(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.show("Settings")
    size = page.get_by_role("spinbutton", name="Picture size")
    await size.fill("7")
    await size.press("Tab")
    await expect(page.locator("#tunable-frame_scale-error")).to_have_text("Must be from 0.1 to 1.")
    await expect(size).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Look-ahead").fill("2.5")
    await page.get_by_label("Look-ahead").press("Tab")
    await expect(page.locator("#tunable-chunk_config-error")).to_contain_text("Look-ahead: must be a whole number")

    # What only the server can judge.
    await page.get_by_label("Instructions").fill("x" * 4001)
    await page.get_by_label("Instructions").press("Tab")
    error = page.locator("#tunable-instructions-error")
    await expect(error).to_contain_text("at most 4000 characters")
    await page.get_by_label("Instructions").fill("Be brief.")
    await page.get_by_label("Instructions").press("Tab")
    await expect(error).to_be_empty()
    await visit.until(lambda s: s["session"]["instructions"] == "Be brief.", "the instructions are in effect")
    assert (await visit.state())["session"]["frame_scale"] == 0.5


async def test_a_refused_start_names_the_field(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.show("Settings")
    await page.get_by_label("Instructions").fill("x" * 4001)
    await page.get_by_label("Instructions").press("Tab")
    await page.wait_for_timeout(300)
    await visit.show("Conversation")
    await visit.press("Start")
    await expect(page.locator("#tunable-instructions-error")).to_contain_text("at most 4000 characters")
    await expect(page.get_by_label("Instructions")).to_be_focused()
    await expect(page.get_by_role("alert").filter(has_text="The server refused the connection")).to_be_visible()
    assert (await visit.state())["phase"] == "idle"


async def test_changes_from_elsewhere_are_shown(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.show("Settings")
    session = (await visit.state())["sessionId"]
    answer = await page.request.patch(f"{server.url}/sessions/{session}", data={"fps": 10})
    assert answer.ok
    await expect(page.locator("#tunable-fps-effective")).to_have_text("In effect: 10")


async def test_the_servers_own_changes_come_with_their_reason(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await visit.show("Settings")
    deliver = """(reason) => window.__channels.at(-1).dispatchEvent(new MessageEvent("message", { data: JSON.stringify({
      label: "rtvi-ai", type: "server-message", id: "1",
      data: { t: "session", session: { ...window.__avatar.session, frame_scale: 0.3 }, reason } }) }))"""
    size = page.locator("#tunable-frame_scale-effective")
    await page.evaluate(deliver, "load")
    await expect(size).to_have_text("In effect: 0.3. The server changed it because the machine is busy.")
    await page.evaluate(deliver, "network")
    await expect(size).to_have_text("In effect: 0.3. The server changed it because the network is slow.")


async def test_choices_are_remembered_and_can_be_taken_back(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.show("Settings")
    await page.get_by_label("Greeting").uncheck()
    await page.get_by_role("slider", name="Pictures per second").fill("15")
    await page.wait_for_timeout(300)
    await page.reload()
    await visit.show("Settings")
    await expect(page.get_by_label("Greeting")).not_to_be_checked()
    await expect(page.get_by_role("slider", name="Pictures per second")).to_have_value("15")
    await visit.call()
    session = (await visit.state())["session"]
    assert (session["fps"], session["greet"]) == (15, False)
    await visit.press("Back to the defaults")
    await visit.until(lambda s: s["session"]["fps"] == 25, "the default is in effect")
    await expect(page.get_by_label("Greeting")).to_be_checked()
