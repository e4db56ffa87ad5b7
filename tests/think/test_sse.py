from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.think.sse import MAX_EVENT_CHARS, Event, EventParser, Overlong


def parse(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.finish()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_names_comments_and_joined_data(end: str) -> None:
    lines = [
        ": ping",
        "event: delta",
        "data: one",
        "data:two",
        "id: 7",
        "retry: 5",
        "data",
        "",
        "",
        "data: last",
        "",
        "",
    ]
    assert parse(end.join(lines).encode()) == [Event("delta", "one\ntwo\n"), Event("", "last")]


def test_one_space_is_taken_from_the_value_and_no_more() -> None:
    assert parse(b"data:  x\n\n") == [Event("", " x")]


def test_a_byte_order_mark_is_no_part_of_the_first_field() -> None:
    assert parse(b"\xef\xbb\xbfdata: x\n\n") == [Event("", "x")]


def test_a_last_event_without_its_blank_line_is_given_out() -> None:
    assert parse(b"data: a\n\ndata: b") == [Event("", "a"), Event("", "b")]


def test_a_name_without_data_is_no_event() -> None:
    assert parse(b"event: x\n\ndata: y\n\n") == [Event("", "y")]


texts = st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(st.lists(texts, min_size=1, max_size=3), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_any_split_into_chunks_gives_the_same_events(bodies: list[list[str]], end: str, cuts: list[int]) -> None:
    raw = "".join("".join(f"data: {line}{end}" for line in lines) + end for lines in bodies).encode()
    edges = sorted({0, len(raw), *(min(c, len(raw)) for c in cuts)})
    chunks = [raw[a:b] for a, b in itertools.pairwise(edges)]
    assert parse(*chunks) == [Event("", "\n".join(lines)) for lines in bodies]
    assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == parse(raw)


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 10_000, b"data: " + b"x" * 10_000 + b"\n"])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    parser = EventParser()
    with pytest.raises(Overlong):
        for _ in range(MAX_EVENT_CHARS // 10_000 + 2):
            parser.feed(piece)
