"""New, untrained networks in the embedded model's layout (models/demo.py)."""

from ..hosts.diffusers_demo import new_unet, new_vae
from ..media.world import BACKGROUNDS, COLOURS, MOTIONS, RATES, SHAPES
from ..models.demo import WIDTH, new_motion
from ..models.text import TextConfig, TextEncoder

TOKENS = 12

__all__ = ["new_motion", "new_text", "new_unet", "new_vae"]


def new_text() -> TextEncoder:
    """Knows the grammar's words and the frame rates; 0.1 M parameters."""
    captions = [*COLOURS, *SHAPES, *MOTIONS, *BACKGROUNDS, *map(str, RATES), "a on at fps"]
    words = sorted({word for caption in captions for word in caption.split()})
    return TextEncoder(TextConfig(words=tuple(words), length=TOKENS, width=WIDTH, layers=2, heads=2))
