"""What a file is, by its keys, and words for whoever put it into the wrong loader: what was recognised, what is missing, and
only then where it belongs. Nothing is said of a file that no row of the table fits."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from ..errors import WrongFile
from .keytable import compiled
from .kinds import KINDS, Kind
from .published import Published
from .quantised import REMEDY, as_plain, layout_of
from .strict import WHOLE, some

Family = TypeVar("Family", bound=Published)


@dataclass(frozen=True)
class LoaderTarget:
    """What a loader takes."""

    name: str
    """`motion module`, after `this is no`."""
    families: tuple[Published, ...]
    own: Collection[str] = ()
    """Ids of the kinds that are what it wants, if they were whole."""


def kind_of(keys: Collection[str]) -> Kind | None:
    """The sort of file with these keys; None where even that is unknown."""
    return next((kind for kind in KINDS if all(_first(mark, keys) for mark in kind.marks)), None)


def known(tensors: Mapping[str, Tensor], wanted: LoaderTarget, detect: Callable[[Collection[str]], Family | None]) -> Family:
    """The family of a file. Raises WrongFile for another sort of file, and for one whose weights are stored quantised."""
    layout = layout_of(tensors)
    plain = as_plain(tensors) if layout else tensors
    family = detect(plain)
    if family is None:
        raise WrongFile(refusal(plain, wanted) + (f" Its weights are stored as {layout}." if layout else ""))
    if layout:
        raise WrongFile(f"this is {family.title}, stored as {layout}. {REMEDY}")
    return family


def refusal(keys: Collection[str], wanted: LoaderTarget) -> str:
    """Why a file with these keys is not what a loader takes."""
    missing = _missing(keys, wanted)
    kind = kind_of(keys)
    if kind and kind.id in wanted.own:
        return f"this looks like {kind.name} ({_evidence(kind, keys)}), but has no key such as {missing}; {WHOLE}"
    if kind:
        why = f"{_evidence(kind, keys)}; no key such as {missing}"
        return f"this is no {wanted.name} but {kind.name} ({why}): {kind.place}. Pick another file."
    titles = ", ".join(family.title for family in wanted.families)
    got = some(sorted(keys))
    return (
        f"this is no {wanted.name} that Zoetrope knows. Expected keys of {titles}, such as {missing}; got {got}. "
        "Pick another file."
    )


def _evidence(kind: Kind, keys: Collection[str]) -> str:
    return f"recognised by {_first(kind.marks[0], keys)}"


def _missing(keys: Collection[str], wanted: LoaderTarget) -> str:
    """A key, as it is published, that the nearest spelling has and the file has not."""
    spellings = [spelling.marks for family in wanted.families for spelling in family.spellings]
    nearest = max(spellings, key=lambda marks: sum(_first(mark, keys) is not None for mark in marks) / len(marks))
    absent = [mark for mark in nearest if _first(mark, keys) is None] or list(nearest)
    return absent[0].replace("{}", "0").replace("{*}", "")


def _first(mark: str, keys: Collection[str]) -> str | None:
    pattern = compiled(mark if mark.startswith("{*}") else "{*}" + mark)
    return next((key for key in keys if pattern.fullmatch(key)), None)
