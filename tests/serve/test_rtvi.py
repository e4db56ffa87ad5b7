"""RTVI frames: what goes out is what the stock clients read, what comes in never breaks anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.events import (
    AvatarSpeech,
    Caption,
    Event,
    Held,
    Interrupted,
    Notice,
    ReplyText,
    SessionChanged,
    Spoken,
    StateChanged,
    TurnEnded,
    UserSpeech,
    UserText,
)
from avatar.serve import rtvi
from avatar.tunables import Tunables
from avatar.turns import record
from avatar.types import Turn


def frames(event: Event) -> list[dict[str, Any]]:
    decoded = [json.loads(text) for text in rtvi.encode(event)]
    assert all(frame["label"] == "rtvi-ai" and frame["id"] for frame in decoded)
    return decoded


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        (UserSpeech(True), ["user-started-speaking"]),
        (UserSpeech(False), ["user-stopped-speaking"]),
        (UserText("hi", final=True), ["user-transcription"]),
        (ReplyText("t", "word "), ["bot-llm-text"]),
        (AvatarSpeech("t", speaking=True), ["bot-tts-started", "bot-started-speaking"]),
        (AvatarSpeech("t", speaking=False), ["bot-tts-stopped", "bot-stopped-speaking"]),
        (Caption("t", "Hello.", 1.0, 2.0), ["server-message", "bot-tts-text", "bot-output"]),
        (Caption("t", "", 1.0, 2.0), ["server-message"]),
        (Caption("t", "rest.", 1.0, 2.0, heard_text="The"), ["server-message"]),
        (Spoken("t", "Hello. ", 1.0, 1.2), ["server-message"]),
        (Held("t", "Hello."), ["server-message"]),
        (StateChanged("thinking"), ["server-message"]),
        (Notice("No.", fatal=True), ["error"]),
    ],
)
def test_each_event_becomes_its_frames(event: Event, kinds: list[str]) -> None:
    assert [frame["type"] for frame in frames(event)] == kinds


def test_our_own_messages_carry_what_the_contract_names() -> None:
    assert frames(Interrupted("t", "he", 0.5, 120.0))[0]["data"] == {
        "t": "interrupted",
        "turn_id": "t",
        "heard_text": "he",
        "heard_s": 0.5,
        "stop_ms": 120.0,
    }
    session = frames(SessionChanged(Tunables().as_json(), "network"))[0]["data"]
    assert session["t"] == "session" and session["reason"] == "network"
    assert session["frame_scale"] == session["session"]["frame_scale"] == 0.5
    text = frames(UserText("やあ", final=False))[0]["data"]
    assert text["text"] == "やあ" and text["final"] is False and text["timestamp"].endswith("+00:00")


def test_the_waterfall_is_told_with_the_engines_own_shares() -> None:
    turn = Turn("t", 0.0, marks={"endpoint": 500.0, "stt_final": 700.0, "llm_first_token": 800.0})
    turn.engines = {"stt": "whisper", "llm": "ollama", "face": "puppet"}
    ours, metrics = frames(TurnEnded(record(turn)))
    assert ours["data"]["t"] == "turn" and ours["data"]["first_sent"] is None
    assert metrics["data"]["ttfb"] == [
        {"processor": "whisper", "value": 0.2},
        {"processor": "ollama", "value": 0.1},
    ]


def test_a_request_is_read() -> None:
    text = json.dumps({"label": "rtvi-ai", "type": "send-text", "id": "7", "data": {"content": "hi"}})
    assert rtvi.decode(text) == rtvi.Incoming("send-text", "7", {"content": "hi"})


@pytest.mark.parametrize(
    "text",
    [
        "ping: 1732",
        "",
        "{",
        "[]",
        '{"type":"signalling"}',
        '{"label":"rtvi-ai"}',
        '{"label":"rtvi-ai","type":3}',
        "{" * 50_000,
        '{"label":"rtvi-ai","type":"x","data":"' + "y" * 70_000 + '"}',
    ],
)
def test_what_is_no_request_is_no_error(text: str) -> None:
    assert rtvi.decode(text) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    rtvi.decode(text)
    rtvi.decode(json.dumps({"label": "rtvi-ai", "type": text, "data": text}))
