"""Every supported image projector. To add one, write its file and add it here (docs/adding-a-family.md)."""

from collections.abc import Collection

from ..family import ProjectorFamily
from .ip_adapter import IP_ADAPTER
from .videocrafter import VIDEOCRAFTER

PROJECTORS: tuple[ProjectorFamily, ...] = (IP_ADAPTER, VIDEOCRAFTER)


def detect(keys: Collection[str]) -> ProjectorFamily | None:
    """The family whose marks occur among published keys; file names are not used."""
    return next((family for family in PROJECTORS if family.spelling(keys)), None)
