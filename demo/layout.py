"""Files of the embedded model (`demo/weights/*.safetensors`) and their layout: Stable Diffusion's, a fifth as wide.

A KL-VAE with f = 8 and 4 channels, a UNet with SD1.5's block map (transformers on the three upper levels and in the middle), a
text encoder of the world's words, and a motion module of our own family. VAE and UNet have the keys of diffusers.
"""

import json
from pathlib import Path

from torch import Tensor, nn

from ..models.errors import WrongFile
from ..models.formats.checkpoint import read_tensors
from ..models.formats.facts import FileShapes
from ..models.formats.keytable import KeyTable
from ..models.formats.published import Published
from ..models.formats.strict import fill, in_file
from ..models.motion.families.zoetrope import design
from ..models.motion.module import MotionModule
from .text import TextConfig, TextEncoder
from .words import FRAMES as FRAMES
from .words import LONGEST, PIXELS

FOLDER = Path(__file__).parent / "weights"
PARTS = ("vae", "unet", "text", "motion")
"""Parts of the text-to-video model, a file each."""
TEMPORAL_VAE = "vae_temporal"
"""File of a temporal decoder for the same latents, in Stable Video Diffusion's layout."""
VISION, PROJECTOR = "vision", "image_projector"
"""Files of the image encoder (keys of open_clip) and of the image projector (keys of IP-Adapter plus)."""
UPSCALER, UPSCALER_VAE, UPSCALER_MOTION = "upscaler", "upscaler_vae", "upscaler_motion"
"""Files of the upscaler: a UNet laid out as Stable Diffusion's x4 upscaler, its autoencoder, and its temporal layers."""
EVERY_PART = (
    *PARTS, TEMPORAL_VAE, VISION, PROJECTOR, UPSCALER, UPSCALER_VAE, UPSCALER_MOTION,
)  # fmt: skip

WIDTH = 64
"""Channels at every level. ComfyUI's classes have 32 norm groups; fewer channels would make those instance norms."""
LEVELS = 4
TRANSFORMERS = (True, True, True, False)
"""Whether each UNet level has spatial transformers, highest resolution first."""
UNET_BLOCKS, VAE_BLOCKS = 2, 1
"""Residual blocks per level on the way down; one more on the way up."""
HEADS = 2
GUIDANCE_END = 0.325
"""Share of the sampling up to which guidance acts, as it distorts colours later; sigma 3 of Stable Diffusion's schedule."""
PATCH, VISION_LAYERS, VISION_HEADS = 8, 3, 2
"""The image encoder: patch size in pixels of `PIXELS` a side, layers, heads; `WIDTH` wide. IP-Adapter plus uses the output of
the layer before the last."""
VISION_LAYOUT = {
    "model_type": "clip_vision_model", "image_size": PIXELS, "patch_size": PATCH, "num_channels": 3, "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH, "num_hidden_layers": VISION_LAYERS, "num_attention_heads": VISION_HEADS,
    "hidden_act": "gelu", "projection_dim": WIDTH,
}  # fmt: skip
"""The image encoder as a configuration of transformers, which ComfyUI reads."""
QUERIES, PROJECTOR_LAYERS, PROJECTOR_HEAD = 12, 2, 32
"""The image projector: tokens per picture, layers, head width."""

UPSCALER_LEVELS, UPSCALER_BLOCKS = 3, 1
"""The upscaler's UNet and its autoencoder: levels (transformers on the lowest and in the middle), residual blocks per level."""
UPSCALER_TIMES, UPSCALER_WINDOW = 4, 8
"""Scale factor, and frames per clip in training of the temporal layers."""
UPSCALER_SCALING = 0.08333
"""Scaling factor of its latents, as published."""
NOISE_LEVELS = 350
"""Highest noise level of small pictures, as in the published upscaler."""

MOTION_BLOCKS = ("down.0.1", "down.1.1", "down.2.1", "mid", "up.1.2", "up.2.0", "up.2.2", "up.3.0", "up.3.2")
"""Blocks with temporal layers: one per level down, two per level up. All blocks would double their cost."""


def part_path(name: str, folder: Path = FOLDER) -> Path:
    """Path of a part's file. Raises ValueError where it is missing."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(
            f"the embedded model is incomplete: {path.name} is missing from {folder}. "
            f"Expected {', '.join(f'{part}.safetensors' for part in EVERY_PART)}; install the pack again."
        )
    return path


def read_part(name: str, folder: Path = FOLDER) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (in the file's float16) and header of one part. Raises ValueError where it is missing or corrupt."""
    tensors, metadata = read_tensors(part_path(name, folder))
    return tensors, dict(metadata)


def new_motion(width: int = WIDTH) -> MotionModule:
    """An untrained motion module for the demo UNet, initially without effect; 1.1 M parameters by default.

    width   channels of the UNet and of the text tokens
    """
    sites = {}
    for block in MOTION_BLOCKS:
        sites |= {f"{block}.attention": width} | ({} if block == "mid" else {f"{block}.resnet": width})
    return MotionModule(design(sites, width, LONGEST, nn), LONGEST)


def new_upscaler_motion() -> MotionModule:
    """Untrained temporal layers for the upscaler's UNet, initially without effect."""
    blocks = (
        "down.0.0",
        "down.1.0",
        "down.2.0",
        "mid.0",
        "mid.1",
        *(f"up.{level}.{block}" for level in (0, 1, 2) for block in (0, 1)),
    )
    sites = {f"{block}.resnet": WIDTH for block in blocks} | {"mid.attention": WIDTH}
    return MotionModule(design(sites, WIDTH, LONGEST, nn), LONGEST)


TEXT = Published("zoetrope_text", "one", ())
"""Name of the text encoder in messages of the strict loader."""


def text_header(config: TextConfig) -> dict[str, str]:
    """Header of the text encoder's file: words in token order, length, heads."""
    return {"zoetrope.text": json.dumps({"words": config.words, "length": config.length, "heads": config.heads})}


def load_text(folder: Path = FOLDER) -> TextEncoder:
    """Loads the text encoder in float32 on the CPU, without gradients. Raises WrongFile where its file is not one."""
    tensors, header = read_part("text", folder)
    with in_file(f"text.safetensors in {folder}: not the embedded model's text encoder"):
        try:
            fields = json.loads(header.get("zoetrope.text", ""))
            words, length, heads = tuple(map(str, fields["words"])), int(fields["length"]), int(fields["heads"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise WrongFile(f"its header cannot be read ({error})") from error
        width = FileShapes.of(tensors)["embedding.weight"][1]
        layers = len({key.split(".")[1] for key in tensors if key.startswith("layers.")})
        if heads < 1 or width % heads:
            raise WrongFile(f"{heads} heads for {width} channels")
        config = TextConfig(words, length, width, layers, heads)
        weights = {key: value.float() for key, value in tensors.items()}
        return fill(TEXT, weights, KeyTable(()), lambda _: TextEncoder(config))
