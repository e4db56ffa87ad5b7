"""How the page looks, reads and is reached: languages, keyboard, screen readers, colours, sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.web.browser import Server
from tests.web.visit import Visit

JUDGE = Path(__file__).with_name("judge.js").read_text(encoding="utf-8")
WEB = Path(__file__).parents[2] / "web"
PHONE = (360, 740)
SIZES = {
    "desk": (1280, 800),
    "wide": (1920, 1080),
    "tablet": (820, 1180),
    "phone": PHONE,
    "small": (320, 568),
    "side": (740, 360),
}
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


async def faults(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(JUDGE)
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_view_is_readable(visit: Visit, server: Server, size: str, locale: str, dark: bool) -> None:
    page = await visit.open(server, size=SIZES[size], locale=locale, dark=dark)
    await expect(page.locator("#poster")).to_be_visible()
    for tab in await page.get_by_role("tab").all():
        await tab.click()
        assert await faults(page) == []
    await page.keyboard.press("Alt+i")
    assert await faults(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_a_conversation_is_readable(visit: Visit, server: Server, dark: bool) -> None:
    page = await visit.open(server, size=PHONE, dark=dark, touch=True)
    await visit.call()
    await page.get_by_role("button", name="Statistics", exact=True).tap()
    await visit.type("Who are you?")
    await visit.until(lambda s: s["state"] == "speaking", "the avatar speaks")
    assert await faults(page) == []
    await visit.until(lambda s: any(t["user_text"] for t in s["turns"]), "the turn ended")
    await visit.until(lambda s: s["stats"] and s["stats"]["video"], "figures come")
    assert await faults(page) == []
    await page.route("**/webrtc/offer", lambda route: route.abort())
    await page.evaluate("window.__channels[0].dispatchEvent(new Event('close'))")
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await faults(page) == []


async def test_the_judge_finds_what_is_wrong(visit: Visit, server: Server) -> None:
    """The judge of this file's other tests is no rubber stamp."""
    page = await visit.open(server)
    await expect(page.locator("#poster")).to_be_visible()
    assert await faults(page) == []
    await page.evaluate(
        """() => {
          document.querySelector("h1").style.color = "#9aa5a8";
          document.getElementById("mic").removeAttribute("aria-label");
          document.querySelector("label[for=text]").remove();
          document.querySelector(".dock").style.minWidth = "2000px";
        }"""
    )
    found = "\n".join(await faults(page))
    for fault in ('<h1> "Avatar" has a contrast', "#mic> has no name", "#text> has no label", "px too wide"):
        assert fault in found


@pytest.mark.parametrize("size", ["phone", "small", "side"])
async def test_phones_show_the_face_and_all_controls_without_scrolling(visit: Visit, server: Server, size: str) -> None:
    page = await visit.open(server, size=SIZES[size], touch=True)
    await visit.call()
    width, height = SIZES[size]
    controls = [page.get_by_role("button", name=name, exact=True) for name in ("Stop", "Microphone", "Sound", "Send")]
    for part in [page.locator("#face"), page.get_by_role("textbox").first, page.get_by_role("tablist"), *controls]:
        box = await part.bounding_box()
        assert box is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["y"] >= 0 and box["y"] + box["height"] <= height
    face = await page.locator("#face").bounding_box()
    assert face is not None
    assert min(face["width"], face["height"]) > 0.4 * min(width, height)
    transcript = await page.get_by_role("tabpanel").bounding_box()
    assert transcript is not None
    assert transcript["height"] >= 56  # two lines of the conversation


async def test_the_face_is_large_on_a_desk(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await expect(page.locator("#poster")).to_be_visible()
    face = await page.locator("#face").bounding_box()
    assert face is not None
    assert face["height"] > 0.75 * 800


async def test_the_keyboard_reaches_everything_in_order(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await expect(page.locator("#poster")).to_be_visible()
    reached: list[str] = []
    for _ in range(10):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                "(e => e.id || e.getAttribute('aria-label') || e.textContent.trim())(document.activeElement)"
            )
        )
        ring: str = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid", f"{reached[-1]} shows no focus"
    skip = "Skip to the text box"
    expected = [
        skip,
        "stats-toggle",
        "language",
        "start",
        "mic",
        "sound",
        "text",
        "Send",
        "tab-conversation",
        "conversation",
    ]
    assert reached == expected

    await page.get_by_role("tab", name="Conversation").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Portrait")).to_be_focused()
    await expect(page.get_by_role("tabpanel", name="Portrait")).to_be_visible()
    await page.keyboard.press("End")
    await expect(page.get_by_role("tabpanel", name="Settings")).to_be_visible()
    await page.keyboard.press("Home")
    await expect(page.get_by_role("tabpanel", name="Conversation")).to_be_visible()


async def test_start_by_keyboard_leads_to_stop(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await page.get_by_role("button", name="Start").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()
    await visit.until(lambda s: s["phase"] == "live", "connected")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Start")).to_be_focused()


async def test_screen_readers_are_told_what_is_said(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    await expect(page.locator("#caption")).to_have_attribute("aria-live", "polite")
    assert await page.locator("#transcript").get_attribute("aria-live") is None, "the captions are read already"
    await expect(page.get_by_role("status").first).to_have_text("Ready")
    await expect(page.locator("video")).to_have_attribute("aria-label", "The avatar")


async def test_japanese_throughout(visit: Visit, server: Server) -> None:
    page = await visit.open(server, locale="ja-JP")
    assert await page.evaluate("document.documentElement.lang") == "ja"
    assert await page.title() == "アバター"
    for name in ("開始", "マイク", "音声"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    await expect(page.get_by_role("textbox", name="メッセージ")).to_be_visible()
    for tab in ("会話", "顔の画像", "設定"):
        await page.get_by_role("tab", name=tab).click()
    texts = await page.locator("#settings label, #settings .label, #settings .effect").all_inner_texts()
    assert all(JAPANESE.search(text) for text in texts)

    await page.get_by_role("button", name="開始").click()
    await visit.until(lambda s: s["phase"] == "live", "connected")
    await expect(page.get_by_role("button", name="停止")).to_be_visible()
    await page.get_by_role("button", name="Switch to English").click()
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == "en"
    await page.reload()
    await expect(page.get_by_role("button", name="Start")).to_be_visible()  # the choice is remembered


async def test_both_dictionaries_say_the_same(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    words: dict[str, dict[str, str]] = await page.evaluate("import('/web/i18n.js').then(m => m.dictionaries)")
    english, japanese = words["en"], words["ja"]
    # The effects of tunables come from the server in English.
    assert {key for key in japanese if not key.startswith("effect.")} == set(english)
    for key, sentence in english.items():
        blanks: Any = re.findall(r"\{\w+\}", sentence)
        assert sorted(blanks) == sorted(re.findall(r"\{\w+\}", japanese[key])), key
    used = set()
    for path in WEB.iterdir():
        if path.suffix in (".js", ".html") and path.name != "i18n.js":
            used |= set(re.findall(r"[\"'`:;]([a-z]+(?:\.[a-z_0-9]+)+)[\"'`;]", path.read_text(encoding="utf-8")))
    unknown = {key for key in used if key.split(".")[0] in {k.split(".")[0] for k in english} and key not in english}
    assert not {key for key in unknown if not key.endswith((".js", ".css", ".svg"))}


async def test_an_input_methods_enter_does_not_send(visit: Visit, server: Server) -> None:
    page = await visit.open(server, locale="ja-JP")
    box = page.get_by_role("textbox").first
    await box.focus()
    keyboard = await page.context.new_cdp_session(page)
    await keyboard.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    # What Chromium and Firefox send with the Enter that confirms a conversion, and what Safari sends after it.
    await box.dispatch_event("keydown", {"key": "Enter", "code": "Enter", "isComposing": True, "keyCode": 229})
    await box.dispatch_event("keydown", {"key": "Enter", "code": "Enter", "isComposing": False, "keyCode": 229})
    await keyboard.send("Input.insertText", {"text": "日本"})
    assert await box.input_value() == "日本"
    assert (await visit.state())["phase"] == "idle"
    assert await visit.lines("user") == []
    await page.keyboard.press("Enter")
    assert await visit.lines("user") == ["日本"]
    assert await box.input_value() == ""


async def test_calm_for_those_who_ask(visit: Visit, server: Server) -> None:
    page = await visit.open(server, calm=True)
    await visit.call()
    moving = await page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).animationName !== 'none').map(e => e.id)"
    )
    assert moving == []


async def test_nothing_comes_from_elsewhere(visit: Visit, server: Server) -> None:
    """No font, script or picture of another host, and nothing that the security policy forbids."""
    page = await visit.open(server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await visit.call()
    assert all(url.startswith((server.url, "blob:", "data:")) for url in asked)


async def test_every_module_is_preloaded(visit: Visit, server: Server) -> None:
    """So that a slow line is asked once, not once for each level of imports."""
    page = await visit.open(server)
    links = page.locator("link[rel=modulepreload]")
    preloaded = await links.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert set(preloaded) == {f"/web/{path.name}" for path in WEB.glob("*.js")} - {"/web/app.js"}
