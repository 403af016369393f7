"""Every family the pack knows. To add one, write its file and name it here (docs/adding-a-family.md)."""

from collections.abc import Collection

from ..family import Family
from .animatediff import ANIMATEDIFF
from .zoetrope import ZOETROPE

FAMILIES: tuple[Family, ...] = (ANIMATEDIFF, ZOETROPE)


def detect(keys: Collection[str]) -> Family | None:
    """The family whose marks occur among published keys; file names are never looked at."""
    return next((family for family in FAMILIES if family.knows(keys)), None)
