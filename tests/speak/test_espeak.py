"""espeak-ng in its worker process: sound, times, cancellation, crashes, hostile text."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import aclosing

import psutil
import pytest

from avatar.errors import EngineError, NotReady
from avatar.speak import worker as worker_module
from avatar.speak.espeak import Espeak, espeak
from avatar.speak.native import MAX_PIECE, pieces
from avatar.speak.worker import Worker
from tests.speak.voice_checks import clause, keeps_the_contract, say


@pytest.fixture
async def tts() -> AsyncIterator[Espeak]:
    engine = await espeak()
    yield engine
    await engine.close()


TEXT = "Hello, I am your avatar. It is 10:30, isn't it?"


async def test_words_and_phones_lie_where_they_sound(tts: Espeak) -> None:
    spoken = await say(tts, TEXT)
    keeps_the_contract(spoken, TEXT)
    assert [word.text for word in spoken.words][:2] == ["Hello, ", "I am "]
    assert spoken.words[-2].text == "isn't "
    vowels = [phone for phone in spoken.phones if phone.ipa.strip("ˈˌː") in ("oʊ", "æ", "ɐ", "ɪ")]
    pauses = [phone for phone in spoken.phones if phone.ipa == ""]
    assert vowels and pauses
    assert all(spoken.rms(v.start, v.end) > 0.02 for v in vowels)
    comma = max(pauses, key=lambda phone: phone.end - phone.start)
    middle = (comma.start + comma.end) // 2
    assert spoken.rms(middle - 200, middle + 200) < 0.005


async def test_marks_come_no_later_than_their_sound(tts: Espeak) -> None:
    for chunk in (await say(tts, TEXT)).chunks:
        assert all(word.start >= chunk.start for word in chunk.words)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好，今天天气很好。", "zh"),
        ("こんにちは、げんきですか。", "ja"),
        ("Bonjour, ça va ?", "fr"),
        ("Привет, мир!", "ru"),
    ],
)
async def test_many_languages(tts: Espeak, text: str, language: str) -> None:
    keeps_the_contract(await say(tts, text, language), text)


async def test_an_unknown_language_is_still_spoken(tts: Espeak) -> None:
    assert (await say(tts, "hello there", "xx")).seconds > 0.3


async def test_voices_differ_and_an_unknown_one_is_named(tts: Espeak) -> None:
    female = await say(tts, TEXT)
    male = await say(tts, TEXT, voice="espeak-en-us-male")
    assert female.pcm.tobytes() != male.pcm.tobytes()
    with pytest.raises(EngineError, match="nobody"):
        await say(tts, TEXT, voice="nobody")


async def test_a_voice_of_another_language_is_not_forced_on_a_clause(tts: Espeak) -> None:
    forced = await say(tts, "Guten Tag.", "de", voice="espeak-en-us")
    german = await say(tts, "Guten Tag.", "de")
    assert [phone.ipa for phone in forced.phones] == [phone.ipa for phone in german.phones]


async def test_nothing_to_say_is_no_sound(tts: Espeak) -> None:
    assert (await say(tts, "😀\n```\ncode\n```")).chunks == []


@pytest.mark.parametrize(
    "text",
    [
        "<speak><break time='60s'/>hi <audio src='file:///etc/passwd'/></speak>",
        "before\x00after \x01 50P \x1b[31m",
        "[[h@'loU]] {{{ %s %n %x }}} \\n",
        "\ud800 lone surrogate",
        "a" * 5000,
        "!?" * 3000,
        "9" * 400,
        "word. " * 600,
    ],
)
async def test_hostile_text(tts: Espeak, text: str) -> None:
    lives = tts.worker.starts
    await say(tts, text)
    keeps_the_contract(await say(tts, TEXT), TEXT)
    assert tts.worker.starts == max(lives, 1)


async def test_a_clause_that_is_left_is_dropped_and_the_voice_goes_on(tts: Espeak) -> None:
    async with aclosing(tts.speak(clause("And so it goes on and on. " * 200), None)) as chunks:
        async for chunk in chunks:
            assert chunk.start == 0
            break
    keeps_the_contract(await say(tts, TEXT), TEXT)


async def test_cancelling_the_task_leaves_the_voice_usable(tts: Espeak) -> None:
    await tts.warm()
    for delay in (0, 0.001, 0.005):
        task = asyncio.create_task(say(tts, "And so it goes on and on. " * 200))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    keeps_the_contract(await say(tts, TEXT), TEXT)


async def test_sessions_speak_at_once(tts: Espeak) -> None:
    texts = [f"This is session number {n}, and it speaks alone." for n in range(8)]
    alone = [await say(tts, text) for text in texts]
    together = await asyncio.gather(*(say(tts, text) for text in texts))
    for one, other, text in zip(alone, together, texts, strict=True):
        keeps_the_contract(other, text)
        assert [phone.ipa for phone in one.phones] == [phone.ipa for phone in other.phones]
        assert other.seconds == pytest.approx(one.seconds, rel=0.05)  # its voice is not the same twice


async def test_a_killed_worker_is_started_again(tts: Espeak) -> None:
    await tts.warm()
    pid = tts.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    keeps_the_contract(await say(tts, TEXT), TEXT)
    assert tts.worker.pid not in (None, pid)


async def test_a_worker_killed_in_a_clause_costs_at_most_that_clause(tts: Espeak) -> None:
    await tts.warm()
    with pytest.raises(EngineError, match="espeak-ng"):
        async with aclosing(tts.speak(clause("And so it goes on and on. " * 200), None)) as chunks:
            async for chunk in chunks:
                if chunk.start == 0 and tts.worker.pid is not None:
                    os.kill(tts.worker.pid, signal.SIGKILL)
    keeps_the_contract(await say(tts, TEXT), TEXT)


async def test_a_worker_that_hangs_is_replaced(tts: Espeak, monkeypatch: pytest.MonkeyPatch) -> None:
    await tts.warm()
    pid = tts.worker.pid
    assert pid is not None
    monkeypatch.setattr(worker_module, "STALL_S", 0.3)
    os.kill(pid, signal.SIGSTOP)
    keeps_the_contract(await say(tts, TEXT), TEXT)
    assert tts.worker.pid != pid


async def test_a_worker_that_cannot_start_says_why() -> None:
    worker = Worker("ghost", "avatar.speak.no_such_worker")
    with pytest.raises(NotReady, match=r"ghost cannot be started: .*no_such_worker"):
        await worker.hello()
    await worker.close()


async def test_too_many_waiting_clauses_are_refused(tts: Espeak, monkeypatch: pytest.MonkeyPatch) -> None:
    await tts.warm()
    monkeypatch.setattr(worker_module, "MAX_JOBS", 2)
    results = await asyncio.gather(*(say(tts, TEXT) for _ in range(6)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, EngineError)]
    assert refused and "overloaded" in refused[0].message
    keeps_the_contract(await say(tts, TEXT), TEXT)


async def test_close_ends_the_worker() -> None:
    engine = await espeak()
    pid = engine.worker.pid
    assert pid is not None
    await engine.close()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    await engine.close()


def test_the_worker_leaves_when_the_server_dies() -> None:
    server = textwrap.dedent("""
        import asyncio, os
        from avatar.speak.espeak import espeak
        async def main():
            engine = await espeak()
            print(engine.worker.pid, flush=True)
            os.kill(os.getpid(), 9)
        asyncio.run(main())
    """)
    result = subprocess.run([sys.executable, "-c", server], capture_output=True, text=True, timeout=60, check=False)
    process = psutil.Process(int(result.stdout)) if psutil.pid_exists(int(result.stdout)) else None
    if process is not None:
        process.wait(timeout=30)


def test_only_the_worker_loads_the_library() -> None:
    """The licence boundary: the server must never have espeak-ng in its own memory."""
    program = textwrap.dedent("""
        import asyncio, re
        from pathlib import Path
        from avatar.speak.engines import choose_tts
        from avatar.types import Clause
        async def main():
            tts = await choose_tts("espeak", Path("none"))
            await tts.warm()
            async for _ in tts.speak(Clause("hello", 0, "t", "en"), None): pass
            await tts.close()
            print(re.findall(r"\\S*espeak\\S*\\.so\\S*", Path("/proc/self/maps").read_text()))
        asyncio.run(main())
    """)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.strip() == "[]", result.stderr


def test_the_worker_imports_nothing_else_of_the_server() -> None:
    program = (
        "import sys; import avatar.speak.espeak_worker; print(*(m for m in sys.modules if m.startswith('avatar')))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert set(result.stdout.split()) == {"avatar", "avatar.speak", "avatar.speak.wire", "avatar.speak.espeak_worker"}


def test_long_text_is_cut_into_pieces_behind_punctuation() -> None:
    text = "One sentence of some length, with a comma. " * 40 + "x" * 1000
    cut = pieces(text)
    assert "".join(piece for _, piece in cut) == text
    assert all(text[offset:].startswith(piece) and 0 < len(piece) <= MAX_PIECE for offset, piece in cut)
    assert cut[0][1].endswith(". ")
