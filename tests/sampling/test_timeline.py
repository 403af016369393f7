"""The grammar of what is said when; errors point at line and column."""

import pytest
from zoetrope.sampling.timeline import LONGEST_TEXT, Cue, mix_at, read_numbers, read_timeline, text_of


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("a red circle", [(0, "a red circle", 0)]),
        ("", [(0, "", 0)]),
        ("0: a red circle / 48: a blue square ~12", [(0, "a red circle", 0), (48, "a blue square", 12)]),
        ("0: a\n\n  16 :b  ~ 4 \n30:c", [(0, "a", 0), (16, "b", 4), (30, "c", 0)]),
        ("0: and/or, 16:9, ~soft / 5:", [(0, "and/or, 16:9, ~soft", 0), (5, "", 0)]),
        ("0: (red:1.3) circle", [(0, "(red:1.3) circle", 0)]),
    ],
)
def test_texts_are_read(text: str, cues: list[tuple[int, str, int]]) -> None:
    assert read_timeline(text) == tuple(Cue(*cue) for cue in cues)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0: a / b", "timeline, line 1, column 8: expected a frame number and a colon, such as '48: a blue square'"),
        ("0: a\n  x: b", "timeline, line 2, column 3: expected a frame number"),
        ("4: a", "line 1, column 1: the first entry starts the shot: expected frame 0"),
        ("0: a ~4 / 9: b", "line 1, column 1: the first entry .* no fade"),
        ("0: a / 9: b / 9: c", "line 1, column 15: expected a frame after 9, got 9"),
        (
            "0: a / 9: b ~8 / 12: c",
            "column 18: the fade of 8 frames that starts at frame 9 is not over at frame 12; start at 17",
        ),
        ("0: a / 99999999999999999999: b", "expected frames up to 100000000"),
        ("0: a / 5: b ~999999999", "expected frames up to 100000000"),
        ("x" * (LONGEST_TEXT + 1), "at most 100000 characters"),
        ("\n".join(f"{n}: a" for n in range(1001)), "at most 1000 entries, got 1001"),
    ],
)
def test_errors_point_at_the_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_timeline(text)


def test_shares_rise_through_a_fade_and_hold() -> None:
    cues = read_timeline("0: a / 10: b ~3 / 20: c")
    assert [mix_at(cues, frame) for frame in (-5, 0, 9)] == [(0, 0, 1.0)] * 3
    assert [mix_at(cues, frame) for frame in (10, 11, 12, 13, 19)] == [(0, 1, s) for s in (0.25, 0.5, 0.75, 1, 1)]
    assert [mix_at(cues, frame) for frame in (20, 10**6)] == [(1, 2, 1.0)] * 2


def test_numbers_ramp() -> None:
    numbers = read_numbers("0: 7 / 10: 3 ~3 / 20: 5", "cfg", 0, 30)
    assert [numbers.at(frame) for frame in (-1, 9, 10, 11, 12, 13, 19, 20)] == [7, 7, 6, 5, 4, 3, 3, 5]
    assert read_numbers("2.5", "cfg", 0, 30).at(400) == 2.5
    for text in ("0: 7 / 10: x", "0: 7 / 10: 31", "0: 7 / 10: nan"):
        with pytest.raises(ValueError, match="cfg, frame 10: expected a number from 0 to 30, got"):
            read_numbers(text, "cfg", 0, 30)


@pytest.mark.parametrize("text", ["", "a red circle", "7", "0: 3 / 48: 5 ~12", "0: a / 16: b ~4 / 30: c"])
def test_what_was_typed_is_written_again(text: str) -> None:
    assert text_of(read_timeline(text)) == text


def test_numbers_are_written_as_typed() -> None:
    assert str(read_numbers(" 0: 3\n48 : 5  ~12", "cfg", 0, 30)) == "0: 3 / 48: 5 ~12"
    assert str(read_numbers("3", "cfg", 0, 30)) == "3"
