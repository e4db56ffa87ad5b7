from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.think.sums import DividedByZero, solve, spoken


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("What is 12 times 7?", 84),
        ("what's twelve multiplied by seven", 84),
        ("twenty-one minus five", 16),
        ("five - three", 2),
        ("how much is two hundred and five divided by ten", Fraction(41, 2)),
        ("1,200 + 34", 1234),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("seven x 3", 21),
        ("2x3", 6),
        ("15% of 80", 12),
        ("twenty percent of fifty", 10),
        ("three squared plus 4^2", 25),
        ("two to the power of ten", 1024),
        ("-3 + 5", 2),
        ("three million minus one", 2_999_999),
        ("12足す3は?", 15),
        ("十二かける七はいくつですか", 84),
        ("百二十三万引く1", 1_229_999),
        ("１０割る４は", Fraction(5, 2)),
        ("3の二乗は", 9),
    ],
)
def test_sums_as_people_say_them(text: str, value: Fraction | int) -> None:
    assert solve(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "twelve",
        "42",
        "one and only",
        "call 1-800-555-1234",
        "1-800-555-1234",
        "2026/11/20",
        "what is love",
        "2 +",
        "* 3",
        "(1 + 2",
        "9 ^ 99",
        "2 ^ 0.5",
        "10^15 * 10",
        "__import__('os') + 1",
        "1" + " + 1" * 40,
        "(" * 5000 + "1+1",
        "",
    ],
)
def test_what_is_no_sum_or_too_large_is_left_to_others(text: str) -> None:
    assert solve(text) is None


@pytest.mark.parametrize("text", ["10 divided by zero", "3割る0は", "1/(2-2)"])
def test_division_by_zero_is_told(text: str) -> None:
    with pytest.raises(DividedByZero):
        solve(text)


@given(st.text(max_size=80))
def test_any_text_is_taken(text: str) -> None:
    with contextlib.suppress(DividedByZero):
        assert solve(text) is None or isinstance(solve(text), Fraction)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_digits_add_up(a: int, b: int) -> None:
    assert solve(f"what is {a} plus {b}?") == a + b
    assert solve(f"{a}引く{b}は") == a - b


def test_how_a_value_is_spoken() -> None:
    assert spoken(Fraction(84), about="about ") == "84"
    assert spoken(Fraction(5, 2), about="about ") == "2.5"
    assert spoken(Fraction(1, 3), about="about ") == "about 0.3333"
