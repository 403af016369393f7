"""Parser of prompts for the embedded model, for ComfyUI, Python and the command line.

read_prompt("the blue ball moves to the left").prompt     # a blue circle moving left on black at 8 fps

Words may be in any order and in everyday English (`synonyms.py`). Missing parts are assumed: a ground for a colour or a shape
(without one, colours are wrong in a third of the pictures, see demo/README.md), and the usual frame rate.

Every prompt is valid. One without a known word is treated as empty, with a message: a text encoder cannot distinguish negative
from positive prompts, and "blurry, text, watermark" as a negative prompt must neither stop a graph nor become a red circle.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .reader import PAUSES, Reader
from .words import GRAMMAR, USUAL_RATE, write_caption

TOKEN = re.compile(rf"\d+(?=fps\b)|[^\W_]+(?:['’][^\W_]+)*|[{''.join(sorted(PAUSES))}]")
GROUND = "black"
"""Ground of a named colour or shape where the prompt names none."""


@dataclass(frozen=True)
class Reading:
    """Parsed prompt."""

    named: dict[str, str]
    """`colour`, `shape`, `motion` and `background` as far as the prompt names them, in words of the vocabulary."""
    assumed: dict[str, str]
    """The same for assumed parts."""
    rate: int | None
    """Frames per second that the prompt (or the caller) names."""
    unknown: tuple[str, ...]
    """Words without a meaning here."""
    left_out: tuple[str, ...]
    """Known words that the world has no place for: a second object, colour, motion or ground."""
    nearest: dict[str, str]
    """Word -> the vocabulary's nearest word, which replaces it with another meaning."""
    has_rate: bool = True
    """Whether the usual rate is assumed where none is named."""
    sources: dict[str, int] = field(default_factory=dict, repr=False)
    """Kind of word in brackets, or the word itself, -> the number of the token that it was read from."""

    @property
    def fps(self) -> int:
        """Frames per second of the clip."""
        return self.rate or USUAL_RATE

    @property
    def misses(self) -> bool:
        """Whether the clip lacks something that the prompt names."""
        return bool(self.unknown or self.left_out or self.nearest)

    @property
    def caption(self) -> str:
        """The prompt in words of the vocabulary, without its rate, for display."""
        parts = self.named | self.assumed
        written = write_caption(parts)
        return (written if "shape" in parts else written.removeprefix("a")).strip()

    @property
    def prompt(self) -> str:
        """The prompt in the grammar of the text encoder's training; empty without a known word."""
        parts = self.named | self.assumed
        rate = f"at {self.fps} fps" if self.rate or (parts and self.has_rate) else ""
        return " ".join(filter(None, (write_caption(parts) if parts else "", rate)))

    def source(self, word: str) -> int | None:
        """The number of the token that a word of `prompt` was read from; None where it was assumed."""
        kinds = {part: f"<{kind}>" for kind, value in self.named.items() for part in value.split()}
        kinds |= {str(self.rate): "<rate>"} | ({"moving": "<verb>", "standing": "<verb>"} if "<verb>" in self.sources else {})
        return self.sources.get(kinds.get(word, word))

    def notes(self) -> list[str]:
        """Messages on unknown, replaced, dropped and assumed words; empty for a prompt within the grammar."""
        found = []
        if self.unknown:
            found.append(f"not known: {_quoted(self.unknown)}")
        if self.left_out:
            found.append(f"this world has one object, one motion and a plain ground: left out {_quoted(self.left_out)}")
        found += [f"{word!r} is not known, {nearest} comes nearest" for word, nearest in self.nearest.items()]
        if not self.prompt and found:
            return [*found, f"so the prompt counts as empty; known are {GRAMMAR}"]
        if self.assumed:
            found.append(f"assumed: {', '.join(f'on {ground}' for ground in self.assumed.values())}")
        return [f"read as {self.prompt!r}", *found] if found else []


def read_prompt(text: str, rate: int | None = None, picture: bool = False) -> Reading:
    """Parses a prompt.

    rate     overrides the rate in the prompt
    picture  whether a picture is given with the prompt: then no ground is assumed
    """
    return read_tokens(tokens_of(text), rate, ground=not picture)


def tokens_of(text: str) -> list[str]:
    """Words, numbers and punctuation of a prompt in lower case; `8fps` is two tokens."""
    return [token.replace("’", "'") for token in TOKEN.findall(text.lower())]


def read_tokens(tokens: Sequence[str], rate: int | None = None, ground: bool = True, usual_rate: bool = True) -> Reading:
    """As `read_prompt`, from tokens.

    ground, usual_rate   whether these are assumed where the prompt names none
    """
    reader = Reader(list(tokens))
    named_rate = reader.read()
    missing = ground and reader.named.keys() & {"colour", "shape"} and "background" not in reader.named
    return Reading(
        {kind: reader.named[kind] for kind in ("colour", "shape", "motion", "background") if kind in reader.named},
        {"background": GROUND} if missing else {},
        rate if rate is not None else named_rate,
        reader.unknown(),
        tuple(reader.left_out),
        reader.nearest,
        usual_rate,
        reader.sources,
    )


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words))
