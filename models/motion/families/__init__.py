"""Every supported family of motion modules. To add one, write its file and add it here (docs/adding-a-family.md)."""

from collections.abc import Collection

from ..family import Family
from .animatediff.module import ANIMATEDIFF
from .hotshotxl import HOTSHOT
from .lavie import LAVIE
from .lvdm import LVDM
from .modelscope import MODELSCOPE
from .svd import SVD
from .upscale_a_video import LAVIE_VSR, UPSCALE_A_VIDEO
from .videocrafter import VIDEOCRAFTER
from .zoetrope import ZOETROPE

FAMILIES: tuple[Family, ...] = (
    ANIMATEDIFF, HOTSHOT, VIDEOCRAFTER, MODELSCOPE, LAVIE, UPSCALE_A_VIDEO, LAVIE_VSR, SVD, LVDM, ZOETROPE,
)  # fmt: skip


def detect(keys: Collection[str]) -> Family | None:
    """The family whose marks occur among published keys; file names are not used."""
    return next((family for family in FAMILIES if family.spelling(keys)), None)
