"""Timelines: texts and numbers by absolute frame, with hard cuts and cross-fades.

    0: a red circle / 48: a blue square ~12

An entry is a frame number, a colon, the text from that frame on, and optionally `~` and the length of the fade in frames.
Entries are on lines of their own or separated by ` / `. A text without a number holds from frame 0. The text of an entry
`always: film grain` is appended to every cue's, after a comma.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

LONGEST_TEXT, MOST_CUES, LAST_FRAME = 100_000, 1_000, 100_000_000

ALWAYS = re.compile(r"[Aa]lways\s*:")
HEAD = re.compile(r"([0-9]+)\s*:")
FADE = re.compile(r"\s~\s*([0-9]+)$")
"""All match an entry without surrounding blanks, in linear time."""
QUOTED = re.compile(r"[{\s]*[\"'][0-9]+[\"']\s*:")
"""A frame number in quotes, as prompt travel is written for FizzNodes."""
KEYFRAME = re.compile(r"[\"']([0-9]{1,9})[\"']\s*:\s*(?:\"([^\"]*)\"|'([^']*)')")
NO_FRAME = re.compile(r"-\s*[0-9]+\s*:|-?[0-9]*\.[0-9]+\s*:")
"""A negative or fractional number in place of a frame number."""
RUN_ON = re.compile(r"[,;|/]\s*[0-9]+\s*:(?!\s*[0-9])")
"""Another entry after something that is not a separator; `, 16:9` and `(red:1.3)` are text."""
EXAMPLE = "0: a red circle / 48: a blue square ~12"
NUMBERS = "0: 1 / 48: 0.5 ~12"


@dataclass(frozen=True)
class Cue:
    """A text from one frame on."""

    frame: int
    text: str
    fade: int
    """Length of the cross-fade in frames; 0 is a hard cut."""


def read_timeline(text: str, name: str = "timeline", example: str = EXAMPLE, always: bool = True) -> tuple[Cue, ...]:
    """Reads the cues of a text, the first at frame 0. example: for error messages; always: whether an `always:` entry is read.

    Raises ValueError with line and column where an entry cannot be read, is out of order, or begins within a fade, and for a
    second or empty `always:` entry.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{name}: expected at most {LONGEST_TEXT} characters, got {len(text)}")
    entries = [(start, entry) for start, entry in _split(text) if entry.strip()]
    if len(entries) > MOST_CUES:
        raise ValueError(f"{name}: expected at most {MOST_CUES} entries, got {len(entries)}")
    own = [entry for _, entry in entries if not (always and ALWAYS.match(entry.strip()))]
    alone = len(own) == 1 and not HEAD.match(own[0].strip())
    cues: list[Cue] = []
    base = ""
    for start, entry in entries:
        place = start + len(entry) - len(entry.lstrip())
        where = f"{name}, {_place(text, place)}"
        _refuse_other_notations(text, place, entry.strip(), name, example)
        if always and (head := ALWAYS.match(entry.strip())):
            base = _base(entry.strip()[head.end() :].strip(), base, where)
        else:
            cues.append(Cue(0, entry.strip(), 0) if alone else _cue(entry, cues, where, example))
    cues = cues or [Cue(0, "", 0)]
    return tuple(replace(cue, text=", ".join(filter(None, (cue.text, base)))) for cue in cues) if base else tuple(cues)


def _base(text: str, before: str, where: str) -> str:
    """The text of an `always:` entry. before: that of an earlier one, else empty."""
    if not text:
        raise ValueError(
            f"{where}: expected a text after always:, such as always: film grain, got none; write one or remove the entry"
        )
    if before:
        raise ValueError(
            f"{where}: expected one always: entry, got a second one, {text[:40]!r}; join the two, with a comma between"
        )
    return text


def _refuse_other_notations(text: str, place: int, entry: str, name: str, example: str) -> None:
    """Raises ValueError for notations that would otherwise be one long prompt. place: position of the entry in `text`."""
    if QUOTED.match(text, place):
        raise ValueError(
            f"{name}, {_place(text, place)}: expected frame numbers without quotes; for the same blending as in FizzNodes' "
            f"prompt travel write\n{_without_quotes(text[place:])}"
        )
    if NO_FRAME.match(entry):
        raise ValueError(
            f"{name}, {_place(text, place)}: expected a whole frame number, 0 or more, such as {example}, got {entry[:40]!r}"
        )
    if found := RUN_ON.search(entry):
        raise ValueError(
            f"{name}, {_place(text, place + found.start())}: expected each entry on a line of its own, or ' / ' with a "
            f"space on both sides between entries, such as {example}, got {entry[found.start() :][:40]!r}"
        )


def _without_quotes(text: str) -> str:
    """Converts FizzNodes' prompt travel, which blends from keyframe to keyframe: each fade ends at its keyframe."""
    lines: list[str] = []
    last = 0
    for found in KEYFRAME.finditer(text):
        frame, prompt = int(found[1]), " ".join((found[2] or found[3] or "").split())
        if not lines:
            lines.append(f"0: {prompt}")
        elif frame > last:
            fade = frame - last - 1
            lines.append(f"{last + 1}: {prompt}" + (f" ~{fade}" if fade else ""))
        last = max(last, frame)
    return "\n".join(lines) or EXAMPLE


def _split(text: str) -> list[tuple[int, str]]:
    """(position, entry) of each part between line breaks and ` / `."""
    borders = [(0, 0), *(found.span() for found in re.finditer(r"\n|(?<=\s)/(?=\s)", text)), (len(text), len(text))]
    return [(before[1], text[before[1] : after[0]]) for before, after in pairwise(borders)]


def _cue(entry: str, before: Sequence[Cue], where: str, example: str) -> Cue:
    head = HEAD.match(entry.strip())
    if not head:
        raise ValueError(f"{where}: expected a frame number and a colon, such as {example}, got {entry.strip()[:40]!r}")
    text = entry.strip()[head.end() :]
    fade = FADE.search(text)
    cue = Cue(int(head[1][:12]), text[: fade.start() if fade else None].strip(), int(fade[1][:12]) if fade else 0)
    if max(cue.frame, cue.fade) > LAST_FRAME:
        raise ValueError(f"{where}: expected frames up to {LAST_FRAME}, got {max(cue.frame, cue.fade)}")
    if not before:
        if cue.frame != 0 or cue.fade != 0:
            raise ValueError(
                f"{where}: the first entry starts the shot: expected frame 0 and no fade, got {entry.strip()[:40]!r}"
            )
        return cue
    last = before[-1]
    if cue.frame <= last.frame:
        raise ValueError(f"{where}: expected a frame after {last.frame}, got {cue.frame}")
    if cue.frame < last.frame + last.fade:
        raise ValueError(
            f"{where}: the fade of {last.fade} frames that starts at frame {last.frame} is not over at frame {cue.frame}; "
            f"start at {last.frame + last.fade} or later, or fade faster"
        )
    return cue


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position)
    return f"line {line + 1}, column {position - (text.rfind(chr(10), 0, position) + 1) + 1}"


def text_of(cues: Sequence[Cue]) -> str:
    """The cues as text in one line, which `read_timeline` reads: `0: 7 / 48: 3 ~12`."""
    if len(cues) == 1:
        return cues[0].text
    return " / ".join(f"{cue.frame}: {cue.text}" + (f" ~{cue.fade}" if cue.fade else "") for cue in cues)


def mix_at(cues: Sequence[Cue], frame: int) -> tuple[int, int, float]:
    """(index of the previous cue, of the current one, share of the current one) at a frame.

    The share is 1 outside fades; before frame 0 the first cue is current.
    """
    now = max((index for index, cue in enumerate(cues) if cue.frame <= frame), default=0)
    into = frame - cues[now].frame + 1
    share = min(1.0, into / (cues[now].fade + 1)) if now else 1.0
    return max(0, now - 1), now, share


def hard_cuts(cues: Sequence[Cue]) -> frozenset[int]:
    """Numbers of the frames at which another text begins without a cross-fade."""
    return frozenset(cue.frame for before, cue in pairwise(cues) if cue.fade == 0 and cue.text != before.text)


@dataclass(frozen=True)
class Numbers:
    """A number by frame; fades are ramps."""

    cues: tuple[Cue, ...]
    values: tuple[float, ...]

    def __str__(self) -> str:
        """The text as typed, for settings and messages of a shot."""
        return text_of(self.cues)

    def at(self, frame: int) -> float:
        before, now, share = mix_at(self.cues, frame)
        return self.values[before] + (self.values[now] - self.values[before]) * share

    @property
    def changing(self) -> int:
        """Number of frames up to the first one with the last number alone, which is included."""
        return self.cues[-1].frame + self.cues[-1].fade + 1


def is_list(text: str) -> bool:
    """Whether a text is a plain list, `1, 0.5, 0`: a number per frame."""
    return "," in text and ":" not in text


def read_numbers(text: str, name: str, low: float, high: float) -> Numbers:
    """Numbers between `low` and `high` by frame: `0: 7 / 48: 3 ~12`, or a plain list, one number per frame; the last one holds.

    Raises ValueError with line and column, or with the frame.
    """
    if is_list(text):
        if text.count(",") >= MOST_CUES:
            raise ValueError(f"{name}: expected at most {MOST_CUES} numbers, got {text.count(',') + 1}")
        cues = tuple(Cue(frame, part.strip(), 0) for frame, part in enumerate(text.split(",")))
    else:
        cues = read_timeline(text, name, NUMBERS, always=False)
    values = []
    for cue in cues:
        try:
            value = float(cue.text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(
                f"{name}, frame {cue.frame}: expected a number from {low:g} to {high:g}, got {cue.text[:40]!r}; "
                f"numbers by frame are written as in {NUMBERS}"
            )
        values.append(value)
    return Numbers(cues, tuple(values))
