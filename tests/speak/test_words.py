"""Times of what was spoken come back to the words as they were written."""

from __future__ import annotations

from avatar.speak.spoken import spoken
from avatar.speak.words import WordMap


def told(source: str, said: list[list[str]], language: str = "en") -> list[str]:
    """The written words for phrases of spoken ones, each spoken word found in turn in the spoken text."""
    traced = spoken(source, language)
    words = WordMap(source, traced)
    at = time = 0
    written: list[str] = []
    for phrase in said:
        marks = []
        for word in phrase:
            at = traced.text.index(word, at)
            marks.append((at, at + len(word), time, time + 10))
            at += len(word)
            time += 10
        written += [word.text for word in words.words(marks)]
    return written


def test_punctuation_and_space_follow_their_word() -> None:
    assert told("Hello, my “friend”!", [["Hello"], ["my", "friend"]]) == ["Hello, ", "my ", "“friend”!"]


def test_markup_stays_with_a_word() -> None:
    assert told("Say **it** now.", [["Say", "it", "now"]]) == ["Say ", "**it** ", "now."]


def test_several_spoken_words_for_one_written() -> None:
    assert told("At 10:30 sharp", [["At", "10", "30", "sharp"]]) == ["At ", "10:30 ", "sharp"]


def test_a_word_that_the_engine_does_not_announce_is_spoken_with_the_one_before() -> None:
    assert told("I am here. You too.", [["I", "here"], ["You"]]) == ["I am ", "here. ", "You too."]


def test_japanese_has_no_spaces() -> None:
    said = [["今日は", "晴れ"], ["明日は", "雨です"]]
    assert told("今日は晴れ、「明日は」雨です。", said, "ja") == ["今日は", "晴れ、", "「明日は」", "雨です。"]


def test_the_words_are_the_text() -> None:
    source = "😀 First: *one*, then $2.50 (or https://a.example/b). End"
    words = told(source, [["First"], ["one"], ["then", "2", "dollars", "50", "cents"], ["or", "a", "example"], ["End"]])
    assert "".join(words) == source
