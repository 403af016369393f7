"""Every supported autoencoder. To add one, write its file and add it here (docs/adding-a-family.md)."""

from collections.abc import Collection

from ..family import VaeFamily
from .cv_vae import CV_VAE
from .lvdm import LVDM
from .open_sora import OPEN_SORA
from .sd import SD
from .svd import SVD
from .upscale_a_video import UPSCALE_A_VIDEO

VAES: tuple[VaeFamily, ...] = (SVD, UPSCALE_A_VIDEO, LVDM, CV_VAE, OPEN_SORA, SD)


def detect(keys: Collection[str]) -> VaeFamily | None:
    """The family whose marks occur among published keys; file names are not used."""
    return next((family for family in VAES if family.spelling(keys)), None)
