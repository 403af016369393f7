"""The editor's timeline reads and changes a text as the nodes read it."""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from zoetrope.sampling.timeline import Cue, read_timeline

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "web" / "zoetrope" / "timeline_text.js"

TEXTS = [
    "", " \n ", "a red circle", "  a red circle ~12", "0: a / 48: b ~12", "0: a\n48: b ~12\n\n96: c", "0:a / 8:b",
    "0: a/b / 8: c", "0: wide 16:9 picture / 8: b", "0: / 4: x", "0: a ~4", "3: a", "0: a / 0: b", "0: a / 8: b ~8 / 12: c",
    "0: a / 8: b ~8 / 16: c", "0: a / b", "a / b", "0: a / 999999999: b", "0: a / 8: b ~ 4 ", "0: a / 8: b~4",
    "0: a / 8: b ~x", " 0 : a / 8 : b", "0: a /", "0: a / / 8: b", "0: caf\u00e9 \U0001f600 / 8: b", "0: a / -3: b",
    "0: a / 8: b ~4 ~6", "48 a", "0: a\t/\t8: b", "0: a / 8", "\n\n0: a",
    "0: a, 12: b", "0:a/12:b", "0: a | 12: b", "0: a /12: b", "12.5: b", "-3: b", ".5: b", "a, 12: b", "0: a\n8: b; 12: c",
    '"0" :"a", "12" :"b"', "{\n'0': 'a',\n'8': 'b'\n}", "0: 16:9, 4:3", "0: \U0001f600 | 12: b", "0: chapter 2, 0: b",
    "always: x", "always:", "a\nalways: x", "always: x\na", "0: a / always: x / 8: b ~4", "0: / always: x",
    "always: x\nalways: y", "Always : x\n0: a", "0: a\nalways:\n8: b", "always:\nalways: x", "ALWAYS: x\n0: a",
    "always x\n0: a", "0: a\nalways: x, 12: b", "a\nb\nalways: x", "always: (x:1.2)\n0: a", "0: a / always: x / 0: b",
    "3: a\nalways: x",
]  # fmt: skip


def ask(*questions: list[Any]) -> list[Any]:
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    command = [node, str(ROOT / "tests" / "web" / "timeline_text.mjs"), str(MODULE)]
    done = subprocess.run(command, input=json.dumps(questions), capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def cues_of(text: str) -> list[Cue] | None:
    try:
        return list(read_timeline(text))
    except ValueError:
        return None


def random_texts(count: int) -> list[str]:
    """Texts of the grammar's own pieces, most of them nearly right."""
    draw = random.Random(9)
    pieces = [
        "0: a",
        "8: b",
        "8: b ~4",
        "12: c ~8",
        "40: a red circle",
        "41:x ~1",
        ",",
        "0:",
        "b",
        "~4",
        " / ",
        " / ",
        "\n",
        "\n",
        "/",
        " ",
        ":",
        "16",
        "always: d",
        "always:",
    ]
    return ["".join(draw.choice(pieces) for _ in range(draw.randint(1, 8))) for _ in range(count)]


def test_both_read_the_same_cues_and_refuse_the_same_texts() -> None:
    texts = TEXTS + random_texts(2000)
    accepted = 0
    for text, found in zip(texts, ask(*(["readTimeline", text] for text in texts)), strict=True):
        expected = cues_of(text)
        if expected is None:
            assert found["fault"], text
            with pytest.raises(ValueError, match=f"line {found['fault']['line']}, column {found['fault']['column']}"):
                read_timeline(text)
        else:
            accepted += 1
            assert found["fault"] is None, text
            assert [Cue(cue["frame"], cue["said"], cue["fade"]) for cue in found["cues"]] == expected
    assert 300 < accepted < len(texts) - 300


def test_the_bounds_are_the_same() -> None:
    long, many = "0: " + "a" * 100_000, "\n".join(f"{frame}: a" for frame in range(1001))
    first, second, fits = ask(["readTimeline", long], ["readTimeline", many], ["readTimeline", "0: " + "a" * 99_997])
    assert (first["fault"]["code"], second["fault"]["code"], fits["fault"]) == ("long", "many", None)


TEXT = "0: a red circle\n24: a blue circle  ~6\n60: a square"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["moveCut", TEXT, 1, 30.4], TEXT.replace("24:", "30:")),
        (["moveCut", TEXT, 1, -5], TEXT.replace("24:", "1:")),
        (["moveCut", TEXT, 1, 99], TEXT.replace("24:", "54:")),  # the fade of 6 must be over at 60
        (["moveCut", TEXT, 2, 3], TEXT.replace("60:", "30:")),
        (["setFade", TEXT, 1, 12], TEXT.replace("  ~6", " ~12")),
        (["setFade", TEXT, 1, 0], TEXT.replace("  ~6", "")),
        (["setFade", TEXT, 1, 500], TEXT.replace("  ~6", " ~36")),
        (["setFade", TEXT, 2, 8], TEXT + " ~8"),
        (["removeCue", TEXT, 1], "0: a red circle\n60: a square"),
        (["removeCue", TEXT, 2], "0: a red circle\n24: a blue circle  ~6"),
        (["removeCue", TEXT, 0], TEXT),
        (["removeCue", "0: a\nalways: x\n8: b\n16: c", 1], "0: a\nalways: x\n16: c"),
        (["removeCue", "0: a / always: x / 8: b", 1], "0: a / always: x "),
        (["removeCue", "0: a / 8: b / always: x", 1], "0: a  / always: x"),
        (["setFade", "always: x\n0: a\n8: b", 1, 4], "always: x\n0: a\n8: b ~4"),
    ],
)
def test_a_change_touches_nothing_else_of_the_text(change: list[Any], expected: str) -> None:
    assert ask(change) == [expected]
    assert cues_of(expected)


@pytest.mark.parametrize(
    ("text", "frame", "expected"),
    [
        (TEXT, 40, "0: a red circle\n24: a blue circle  ~6\n40: \n60: a square"),
        (TEXT, 90, TEXT + "\n90: "),
        ("0: a / 48: b ~12", 20, "0: a / 20:  / 48: b ~12"),
        ("a red circle", 16, "0: a red circle\n16: "),
        ("", 5, "0:\n5: "),
        (TEXT, 24, None),
        (TEXT, 26, None),  # within a fade
        (TEXT, 0, None),
        ("a red circle\nalways: x", 16, "0: a red circle\n16: \nalways: x"),
        ("always: x\na red circle", 16, "always: x\n0: a red circle\n16: "),
        ("always: x", 16, None),  # no entry to begin after
        ("0: a / b", 9, None),  # a text with a fault is left alone
    ],
)
def test_a_new_prompt_gets_a_place_of_its_own(text: str, frame: int, expected: str | None) -> None:
    (added,) = ask(["addCue", text, frame])
    assert (added and added["text"]) == expected
    if expected:
        assert f"{frame}: " == added["text"][: added["at"]].rpartition("\n")[2].rpartition(" / ")[2]
        assert frame in [cue.frame for cue in cues_of(expected) or []]


def test_any_change_to_any_text_leaves_one_that_can_be_read() -> None:
    draw = random.Random(5)
    texts = [text for text in random_texts(9000) if len(cues_of(text) or []) > 1]
    changes = []
    for text in texts:
        at = draw.randrange(1, len(cues_of(text) or []))
        changes.append(["moveCut", text, at, draw.randint(-20, 120)])
        changes.append(["setFade", text, at, draw.randint(-5, 60)])
        changes.append(["removeCue", text, at])
    assert len(changes) > 300
    for change, text in zip(changes, ask(*changes), strict=True):
        before, after = cues_of(change[1]) or [], cues_of(text)
        assert after, (change, text)
        kept = [cue.text for number, cue in enumerate(before) if change[0] != "removeCue" or number != change[2]]
        assert [cue.text for cue in after] == kept


def test_both_languages_of_the_panels_have_the_same_words() -> None:
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    source = (ROOT / "web" / "zoetrope" / "words.js").read_text(encoding="utf-8")
    table = source[source.index("const WORDS = ") : source.index("/** The text of that name")]
    script = f"{table}; process.stdout.write(JSON.stringify(WORDS))"
    words = json.loads(subprocess.run([node, "-e", script], capture_output=True, text=True, check=True).stdout)
    assert set(words) == {"en", "zh"}
    assert words["en"].keys() == words["zh"].keys()
    for name, text in words["en"].items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", words["zh"][name])), name
