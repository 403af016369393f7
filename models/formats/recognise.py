"""Recognition of a file's kind by its keys, and error messages for files in the wrong loader: the key that was recognised, a
key that is missing, and the right loader."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from ..errors import WrongFile
from .keytable import compiled
from .kinds import KINDS, Kind
from .published import Published
from .quantised import REMEDY, as_plain, layout_of
from .strict import USE_COMPLETE, abbreviated

Family = TypeVar("Family", bound=Published)


@dataclass(frozen=True)
class LoaderTarget:
    """The files that a loader supports."""

    name: str
    """Name with its article, such as `a motion module`."""
    families: tuple[Published, ...]
    own: Collection[str] = ()
    """Ids of the kinds (`Kind.id`) that it supports; a file of these kinds that is not of its families is incomplete."""


def kind_of(keys: Collection[str]) -> Kind | None:
    """Kind of a file with these keys; None where it is unknown."""
    return next((kind for kind in KINDS if all(_first(mark, keys) for mark in kind.marks)), None)


def known(tensors: Mapping[str, Tensor], target: LoaderTarget, detect: Callable[[Collection[str]], Family | None]) -> Family:
    """The family of a file. Raises WrongFile for files that the loader does not support, and for quantised weights."""
    layout = layout_of(tensors)
    plain = as_plain(tensors) if layout else tensors
    family = detect(plain)
    if family is None:
        raise WrongFile(refusal(plain, target) + (f" Its weights are stored as {layout}." if layout else ""))
    if layout:
        raise WrongFile(f"this is {family.title}, stored as {layout}. {REMEDY}")
    return family


def refusal(keys: Collection[str], target: LoaderTarget) -> str:
    """Error message for a file with these keys, which the loader does not support."""
    missing = _missing(keys, target)
    kind = kind_of(keys)
    if kind and kind.id in target.own:
        return f"this looks like {kind.name} ({_evidence(kind, keys)}), but has no key such as {missing}; {USE_COMPLETE}"
    if kind:
        why = f"{_evidence(kind, keys)}; no key such as {missing}"
        return f"this is not {target.name} but {kind.name} ({why}): {kind.place}. Pick another file."
    titles = ", ".join(family.title for family in target.families)
    got = abbreviated(sorted(keys))
    return (
        f"this is not {target.name} that Zoetrope supports. Expected keys of {titles}, such as {missing}; got {got}. "
        "Pick another file."
    )


def _evidence(kind: Kind, keys: Collection[str]) -> str:
    return f"recognised by {_first(kind.marks[0], keys)}"


def _missing(keys: Collection[str], target: LoaderTarget) -> str:
    """A published key of the most similar spelling that is missing from these keys."""
    spellings = [spelling.marks for family in target.families for spelling in family.spellings]
    nearest = max(spellings, key=lambda marks: sum(_first(mark, keys) is not None for mark in marks) / len(marks))
    absent = [mark for mark in nearest if _first(mark, keys) is None] or list(nearest)
    return absent[0].replace("{}", "0").replace("{*}", "")


def _first(mark: str, keys: Collection[str]) -> str | None:
    pattern = compiled(mark if mark.startswith("{*}") else "{*}" + mark)
    return next((key for key in keys if pattern.fullmatch(key)), None)
