"""What goes wrong, and whether the page says so and goes on."""

from __future__ import annotations

from collections.abc import Callable

from playwright.async_api import Browser, expect

from tests.web.browser import Server, chromium, until
from tests.web.visit import Visit


async def test_a_full_server_is_waited_for(browser: Browser, own_server: Callable[..., Server]) -> None:
    server = own_server("--max-sessions", "1")
    first, second = Visit(browser), Visit(browser)
    await first.open(server)
    await first.call()
    page = await second.open(server)
    await second.press("Start")
    notice = page.get_by_role("alert").filter(has_text="The server is full: 1 of 1 places are taken.")
    await expect(notice).to_be_visible()
    await expect(notice).to_contain_text("Next try in")
    assert (await second.state())["phase"] == "waiting"
    await first.press("Stop")
    await second.press("Try now")
    await second.until(lambda s: s["phase"] == "live", "there is room now")
    await expect(notice).to_be_hidden()
    await first.leave()
    await second.leave()


async def test_a_blocked_microphone_leaves_the_text(server: Server) -> None:
    async with chromium(allowed=False) as browser:
        visit = Visit(browser)
        page = await visit.open(server, allowed=False)
        await visit.call()
        await expect(page.get_by_text("The microphone is blocked.")).to_be_visible()
        await expect(page.get_by_role("button", name="Microphone")).to_have_attribute("aria-pressed", "false")
        await visit.type("Hello")
        await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "the line was answered")
        await visit.leave()


async def test_no_microphone_and_no_secure_page(visit: Visit, server: Server) -> None:
    refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'));"
    page = await visit.open(server, before=refuse)
    await visit.call()
    await expect(page.get_by_text("No microphone was found. You can type instead.")).to_be_visible()
    await visit.press("Stop")

    await page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false });")
    await page.reload()
    await visit.call()
    await expect(page.get_by_text("opened by https or from localhost")).to_be_visible()


async def test_a_browser_that_keeps_the_sound_off(visit: Visit, server: Server) -> None:
    refuse = """
    const play = HTMLMediaElement.prototype.play;
    window.__strict = true;
    HTMLMediaElement.prototype.play = function () {
      return window.__strict && !this.muted ? Promise.reject(new DOMException("", "NotAllowedError")) : play.call(this);
    };
    """
    page = await visit.open(server, before=refuse)
    await visit.call()
    await expect(page.get_by_text("The browser keeps the sound off")).to_be_visible()
    await expect(page.get_by_role("button", name="Sound", exact=True)).to_have_attribute("aria-pressed", "false")
    await page.evaluate("window.__strict = false")
    await visit.press("Turn on sound")
    assert await page.evaluate("document.querySelector('video').muted") is False
    await expect(page.get_by_text("The browser keeps the sound off")).to_be_hidden()


async def test_a_browser_without_webrtc(visit: Visit, server: Server) -> None:
    page = await visit.open(server, before="delete window.RTCPeerConnection;")
    await expect(page.get_by_text("This browser has no WebRTC")).to_be_visible()
    await expect(page.get_by_role("button", name="Start")).to_be_disabled()


async def test_a_server_that_comes_back_is_found_again(visit: Visit, own_server: Callable[..., Server]) -> None:
    server = own_server()
    page = await visit.open(server)
    await visit.call()
    before = (await visit.state())["sessionId"]
    port = server.port
    server.stop(kill=True)
    await expect(page.get_by_role("alert")).to_contain_text("Next try in")
    await expect(page.get_by_text("The server cannot be reached. Is it running?")).to_be_visible()
    server.start(port)
    await visit.until(lambda s: s["phase"] == "live" and s["sessionId"] != before, "connected again")
    await expect(page.get_by_text("so it begins anew")).to_be_visible()
    await visit.type("Hello")
    await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "the line was answered")


async def test_a_lost_connection_resumes_its_session(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    session = (await visit.state())["sessionId"]
    await page.evaluate("window.__channels[0].dispatchEvent(new Event('close'))")

    async def resumed() -> bool:
        seen = await visit.state()
        pictures = seen["stats"] and seen["stats"]["video"] and seen["stats"]["video"]["frames"] > 5
        return bool(await page.evaluate("window.__channels.length") > 1 and seen["phase"] == "live" and pictures)

    await until(resumed, "the picture is back")
    assert (await visit.state())["sessionId"] == session
    await visit.type("Hello")
    await visit.until(lambda s: any(t["user_text"] == "Hello" for t in s["turns"]), "the line was answered")


async def test_an_ended_session_is_not_begun_again(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await visit.call()
    await page.evaluate(
        """window.__channels[0].dispatchEvent(new MessageEvent("message", { data: JSON.stringify({ label: "rtvi-ai",
          type: "error", id: "1", data: { error: "Nobody has said anything for half an hour.", fatal: true } }) }))"""
    )
    await expect(page.get_by_text("Nobody has said anything for half an hour.")).to_be_visible()
    assert (await visit.state())["phase"] == "idle"
    await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_server_that_is_away_when_the_page_opens(visit: Visit, own_server: Callable[..., Server]) -> None:
    server = own_server()
    page = await visit.open(server)
    await page.route("**/config", lambda route: route.abort())
    await page.reload()
    await expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    await page.unroute("**/config")
    await expect(page.get_by_text("The server cannot be reached.")).to_be_hidden()
    await visit.show("Settings")
    await expect(page.get_by_role("slider", name="Picture size")).to_be_visible()


async def test_loading_engines_are_told(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    missing = {
        "error": {"code": "not_ready", "message": "Not ready yet."},
        "missing": {"stt": "loading", "face": "loading"},
    }
    await page.route("**/ready", lambda route: route.fulfill(status=503, json=missing))
    await page.reload()
    await expect(page.get_by_text("The engines are still loading: Hearing, Face.")).to_be_visible()
    await expect(page.locator("#status")).to_have_text("Engines are loading")
    await page.unroute("**/ready")
    await expect(page.get_by_text("The engines are still loading")).to_be_hidden()


async def test_the_token_is_asked_for(visit: Visit, own_server: Callable[..., Server]) -> None:
    server = own_server("--auth-token", "open sesame")
    page = await visit.open(server)
    dialog = page.get_by_role("dialog", name="This server asks for a token")
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Token").fill("let me in")
    await dialog.get_by_role("button", name="Continue").click()
    await expect(dialog.get_by_role("alert")).to_have_text("The server does not accept this token.")
    await dialog.get_by_label("Token").fill("open sesame")
    await dialog.get_by_label("Token").press("Enter")
    await expect(dialog).to_be_hidden()
    await visit.call()
    assert "sesame" not in page.url


async def test_the_address_may_carry_the_token(visit: Visit, own_server: Callable[..., Server]) -> None:
    server = own_server("--auth-token", "sesame")
    page = await visit.open(server, path="/?token=sesame")
    assert page.url == f"{server.url}/"
    await visit.call()
