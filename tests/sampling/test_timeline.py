"""The grammar of what is said when; errors point at line and column."""

import pytest
from zoetrope.sampling.timeline import LONGEST_TEXT, Cue, hard_cuts, mix_at, read_numbers, read_timeline, text_of


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("a red circle", [(0, "a red circle", 0)]),
        ("", [(0, "", 0)]),
        ("0: a red circle / 48: a blue square ~12", [(0, "a red circle", 0), (48, "a blue square", 12)]),
        ("0: a\n\n  16 :b  ~ 4 \n30:c", [(0, "a", 0), (16, "b", 4), (30, "c", 0)]),
        ("0: and/or, 16:9, ~soft / 5:", [(0, "and/or, 16:9, ~soft", 0), (5, "", 0)]),
        ("0: (red:1.3) circle", [(0, "(red:1.3) circle", 0)]),
        ("0: a / 8: b ~4\nalways: film grain", [(0, "a, film grain", 0), (8, "b, film grain", 4)]),
        ("always: grain, (night:1.2)\n0: a\n8:", [(0, "a, grain, (night:1.2)", 0), (8, "grain, (night:1.2)", 0)]),
        ("0: a / Always : x / 8: b", [(0, "a, x", 0), (8, "b, x", 0)]),
        ("a red circle\nalways: film grain", [(0, "a red circle, film grain", 0)]),
        ("always: film grain", [(0, "film grain", 0)]),
        ("0: as always: a circle", [(0, "as always: a circle", 0)]),
    ],
)
def test_texts_are_read(text: str, cues: list[tuple[int, str, int]]) -> None:
    assert read_timeline(text) == tuple(Cue(*cue) for cue in cues)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0: a / b", "timeline, line 1, column 8: expected a frame number and a colon, such as 0: a red circle / 48: a blue"),
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
        ("0: a\nalways: x\n always: y", "line 3, column 2: expected one always: entry, got a second one, 'y'; join the two"),
        ("0: a / always: / 8: b", "line 1, column 8: expected a text after always:, such as always: film grain, got none"),
        ("3: a / always: x", "line 1, column 1: the first entry starts the shot: expected frame 0"),
        ("x" * (LONGEST_TEXT + 1), "at most 100000 characters"),
        ("\n".join(f"{n}: a" for n in range(1001)), "at most 1000 entries, got 1001"),
    ],
)
def test_errors_point_at_the_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_timeline(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0: a, 12: b", "line 1, column 5: expected each entry on a line of its own, or ' / ' .* got ', 12: b'"),
        ("0:a/12:b", "line 1, column 4: expected each entry on a line of its own"),
        ("0: a /12: b", "line 1, column 6: expected each entry on a line of its own"),
        ("0: a | 12: b", "line 1, column 6: expected each entry on a line of its own"),
        ("0: a\n6: b; 12 : c", "line 2, column 5: expected each entry on a line of its own"),
        ("a red circle, 12: a blue square", "line 1, column 13: expected each entry on a line of its own"),
        ("12.5: b", "line 1, column 1: expected a whole frame number, 0 or more, .* got '12.5: b'"),
        ("0: a / 12.5: b", "line 1, column 8: expected a whole frame number"),
        (" -3: b", "line 1, column 2: expected a whole frame number"),
    ],
)
def test_other_notations_are_not_taken_for_one_prompt(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_timeline(text)


@pytest.mark.parametrize(
    "text", ["a 16:9 picture, 4:3 too", "(red:1.3), (blue:0.7)", "0: and/or, 8-bit: yes", "wide, 35mm: sharp"]
)
def test_colons_and_commas_within_a_prompt_are_text(text: str) -> None:
    assert len(read_timeline(text)) == 1


@pytest.mark.parametrize(
    ("text", "converted"),
    [
        ('"0" :"a", "12" :"b"', "0: a\n1: b ~11"),
        ('"0": "a, b",\n"12": "c",\n"13": "d",\n', "0: a, b\n1: c ~11\n13: d"),
        ("{\n'0': 'a',\n'8': 'b'\n}", "0: a\n1: b ~7"),
    ],
)
def test_prompt_travel_in_quotes_is_refused_with_the_same_as_a_timeline(text: str, converted: str) -> None:
    with pytest.raises(ValueError, match=r"line 1, column 1: expected frame numbers without quotes") as refused:
        read_timeline(text)
    assert str(refused.value).endswith("write\n" + converted)
    cues = read_timeline(converted)
    assert mix_at(cues, 0)[2] == 1
    for keyframe, cue in ((found.frame + found.fade, at) for at, found in enumerate(cues)):
        assert mix_at(cues, keyframe)[1:] == (cue, 1.0)  # each prompt is reached on its keyframe


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
        with pytest.raises(
            ValueError, match="cfg, frame 10: expected a number from 0 to 30, got .*; .* as in 0: 1 / 48: 0.5 ~12"
        ):
            read_numbers(text, "cfg", 0, 30)
    for text in ("0: 7, 10: 3", "7, 10: 3", "0:(7), 10:(3)", "0: 7 / x"):
        with pytest.raises(ValueError, match="expected .* 0: 1 / 48: 0.5 ~12") as refused:
            read_numbers(text, "cfg", 0, 30)
        assert "circle" not in str(refused.value)


def test_a_plain_list_of_numbers_has_one_per_frame_and_holds_the_last() -> None:
    numbers = read_numbers("7, 5,3", "cfg_by_frame", 0, 30)
    assert [numbers.at(frame) for frame in (0, 1, 2, 90)] == [7.0, 5.0, 3.0, 3.0]
    assert numbers.changing == 3
    with pytest.raises(ValueError, match=r"cfg_by_frame, frame 1: expected a number from 0 to 30, got ''"):
        read_numbers("7,,3", "cfg_by_frame", 0, 30)
    with pytest.raises(ValueError, match="cfg_by_frame: expected at most 1000 numbers, got 1001"):
        read_numbers(",".join(["1"] * 1001), "cfg_by_frame", 0, 30)


@pytest.mark.parametrize("text", ["", "a red circle", "7", "0: 3 / 48: 5 ~12", "0: a / 16: b ~4 / 30: c"])
def test_what_was_typed_is_written_again(text: str) -> None:
    assert text_of(read_timeline(text)) == text


def test_numbers_are_written_as_typed() -> None:
    assert str(read_numbers(" 0: 3\n48 : 5  ~12", "cfg", 0, 30)) == "0: 3 / 48: 5 ~12"
    assert str(read_numbers("3", "cfg", 0, 30)) == "3"


def test_numbers_have_no_part_that_always_holds() -> None:
    with pytest.raises(ValueError, match="cfg, line 1, column 8: expected a frame number and a colon, .* 'always: 3'"):
        read_numbers("0: 7 / always: 3", "cfg", 0, 100)


def test_hard_cuts_are_changes_of_the_text_without_a_fade() -> None:
    assert hard_cuts(read_timeline("0: a / 8: b / 16: c ~4 / 24: c / 32: a\nalways: x")) == {8, 32}
    assert hard_cuts(read_timeline("a")) == frozenset()
