"""Finds the words of the embedded model's world in the tokens of a prompt, in any order."""

from collections.abc import Iterable, Sequence

from . import synonyms as words_for
from .words import BACKGROUNDS, COLOURS, RATES, SHAPES

PAUSES = frozenset(",;.&+")


class Reader:
    """Parser state of one prompt: each step marks the tokens that it uses as taken."""

    def __init__(self, tokens: list[str]):
        self.tokens, self.taken = tokens, [False] * len(tokens)
        self.named: dict[str, str] = {}
        self.sources: dict[str, int] = {}
        """Kind of word in brackets, or word -> number of its token."""
        self.left_out: list[str] = []
        self.nearest: dict[str, str] = {}
        for number, word in enumerate(tokens):  # fillers have tokens in the encoder, and so prompt weights
            self.sources.setdefault("a" if word in ("an", "the") else word, number)

    def read(self) -> int | None:
        """Parses all tokens. Returns the frame rate, if the prompt names one."""
        rate = self.rate()
        self.negations()
        self.motion()
        self.grounds()
        self.objects()
        return rate

    def rate(self) -> int | None:
        """Parses `8 fps`, `8 frames per second`; rates outside of training stay unknown words."""
        for number, word in enumerate(self.tokens):
            after = self.tokens[number + 1 : number + 4]
            in_full = after[:1] in (["frames"], ["frame"]) and after[1:2] in (["per"], ["a"]) and after[2:] == ["second"]
            if word.isdecimal() and (after[:1] == ["fps"] or in_full):
                if in_full:
                    self.taken[number + 3] = True
                if word in map(str, RATES):
                    self._take("rate", number)
                    return int(word)
        return None

    def negations(self) -> None:
        """Parses `not moving` as standing still; both words of `no red` are dropped."""
        for number, word in enumerate(self.tokens):
            if word in words_for.NEGATIONS and (after := self._next(number)) is not None:
                self.taken[number] = self.taken[after] = True
                if self.tokens[after] in words_for.MOVING:
                    self._name("motion", "standing still", after)
                else:
                    self.left_out.append(f"{word} {self.tokens[after]}")

    def motion(self) -> None:
        """Parses the first direction, or standing still; a position (`on the left`) is not a direction."""
        origins: list[tuple[int, str]] = []
        for number, word in enumerate(self.tokens):
            before = self._before(number, words_for.ARTICLES)
            direction = words_for.DIRECTIONS.get(word)
            to_or_from = before in ("to", "toward", "towards", "from") or self._is_origin(number)
            if direction is None and word in words_for.ENDS and to_or_from:
                direction = words_for.ENDS[word]
            if word == "still" and self._after(number) in words_for.MOVING:
                self.taken[number] = True
            elif word in words_for.STILL:
                self._name("motion", "standing still", number)
            elif direction and (before == "from" or self._is_origin(number)):
                origins.append((number, words_for.OPPOSITE[direction]))
            elif direction and (before not in ("on", "at", "in") or self.tokens[number + 1 : number + 2] == ["direction"]):
                self._name("motion", direction, number)
        for number, direction in origins:
            self.taken[number] = True
            if "motion" not in self.named:
                self._name("motion", direction, number)
        for number, word in enumerate(self.tokens):
            if word in words_for.STAYING and self.named.get("motion", "standing still") == "standing still":
                self._name("motion", "standing still", number)
            if word in words_for.MOVING | words_for.STAYING and "motion" in self.named:
                self.taken[number] = True
                self.sources.setdefault("<verb>", number)

    def grounds(self) -> None:
        """Parses black, grey and white, first where they are a ground by position; coloured grounds are dropped."""
        loose = []
        for number, word in enumerate(self.tokens):
            shade = self._as_ground(number)
            value = self._world(word, BACKGROUNDS) or (words_for.SHADES.get(word) if shade == "named" else None)
            if value and shade:
                self._name("background", value, number)
            elif value and self._world(self._after(number), SHAPES) is None:
                loose.append((number, value))
            elif value or (shade and self._world(word, COLOURS)):
                self.taken[number] = True
                self.left_out.append(f"{word} as a {'colour' if value else 'ground'}")
        for number, value in loose:
            self._name("background", value, number)

    def objects(self) -> None:
        """Parses shape and colour of the first object."""
        shapes = self._mentions(SHAPES)
        colours = self._mentions(COLOURS)
        border = self._border([number for number, _ in shapes], [number for number, _ in colours])
        first = [one for one in colours if one[0] < border] or [
            one for one in colours if self._world(self._after(one[0]), SHAPES) is None
        ]
        if shapes:
            self._name("shape", shapes[0][1], shapes[0][0])
            if self.tokens[shapes[0][0]].endswith("s"):
                self.left_out.append(f"more than one {shapes[0][1]}")
        if first:
            self._name("colour", first[0][1], first[0][0])
        second: list[str] = []
        for number, value in sorted(shapes + colours):
            apart = number > border and len(shapes) > 1
            kind = "shape" if value in SHAPES else "colour"
            if not self.taken[number] and (apart or value != self.named.get(kind)):
                second.append(self.tokens[number])
            self.taken[number] = True
        counted = [word for number, word in enumerate(self.tokens) if word in words_for.NUMBERS and not self.taken[number]]
        self.left_out += ([" ".join(second)] if second else []) + counted
        for number, word in enumerate(self.tokens):
            self.taken[number] |= word in counted

    def unknown(self) -> tuple[str, ...]:
        """Words that no step has taken."""
        left = (word for word, taken in zip(self.tokens, self.taken, strict=True) if not taken)
        words = dict.fromkeys(word for word in left if word not in words_for.FILLERS | PAUSES)
        return tuple(f"{word} without a direction" if word in words_for.MOVING else word for word in words)

    def _name(self, kind: str, value: str, number: int) -> None:
        """Takes a word as colour, shape, motion or ground; if the prompt has another one already, it is dropped."""
        if self.taken[number] and self.named.get(kind) != value and kind in self.named:
            return
        word, self.taken[number] = self.tokens[number], True
        if self.named.setdefault(kind, value) != value:
            self.left_out.append(word)
            return
        self.sources.setdefault(f"<{kind}>", number)
        if word in words_for.NEAREST or word in words_for.SHADES:
            self.nearest[word] = value

    def _take(self, kind: str, number: int) -> None:
        self.taken[number] = True
        self.sources[f"<{kind}>"] = number

    def _mentions(self, known: Iterable[str]) -> list[tuple[int, str]]:
        """(token number, vocabulary's word) of each token that is not taken and is one of `known`."""
        found = ((number, self._world(word, known)) for number, word in enumerate(self.tokens) if not self.taken[number])
        return [(number, value) for number, value in found if value]

    def _border(self, shapes: Sequence[int], colours: Sequence[int]) -> int:
        """Token number at which the second object begins (the last "and" or comma before it); the end for one object."""
        for shape in shapes[1:]:
            between = range(shapes[0] + 1, shape)
            pauses = [n for n in between if self.tokens[n] in words_for.SEPARATORS | PAUSES]
            values = {self._world(self.tokens[n], SHAPES) for n in (shapes[0], shape)}
            if len(values) > 1 or any(n in between for n in colours):
                return pauses[-1] if pauses else shapes[0]
        return len(self.tokens)

    def _world(self, word: str | None, known: Iterable[str]) -> str | None:
        """The vocabulary's word for a word, if it is one of `known`; also for plurals."""
        for form in (word, (word or "").removesuffix("s"), (word or "").removesuffix("es")) if word else ():
            value = words_for.SAME.get(form) or words_for.NEAREST.get(form) or form
            if value in known:
                return value
        return None

    def _as_ground(self, number: int) -> str:
        """`named` for a colour beside a word such as "background", `on` after a preposition, else empty."""
        after, before = self._after(number), self._before(number, words_for.BETWEEN - words_for.ARTICLES)
        if after in words_for.GROUNDS:
            return "named"
        if self._world(after, SHAPES) is not None and not self._world(self.tokens[number], BACKGROUNDS):
            return ""  # "on a blue square"
        if before in words_for.GROUNDS:
            return "named"
        return "on" if self._before(number, words_for.BETWEEN) in words_for.BEFORE_GROUNDS else ""

    def _is_origin(self, number: int) -> bool:
        """Whether a word is the origin of a motion, as `left` in "left to right"."""
        after = [word for word in self.tokens[number + 1 : number + 4] if word not in words_for.ARTICLES]
        return after[:1] == ["to"] and after[1:2] != [] and (after[1] in words_for.DIRECTIONS or after[1] in words_for.ENDS)

    def _before(self, number: int, passed: frozenset[str]) -> str | None:
        """The previous word, skipping those in `passed`."""
        return next((word for word in reversed(self.tokens[:number]) if word not in passed), None)

    def _after(self, number: int) -> str | None:
        return next((word for word in self.tokens[number + 1 :] if word not in ("colour", "color")), None)

    def _next(self, number: int) -> int | None:
        """Number of the next word that is not a filler."""
        following = range(number + 1, len(self.tokens))
        return next((n for n in following if self.tokens[n] not in words_for.FILLERS | PAUSES), None)
