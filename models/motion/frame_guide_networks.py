"""Networks that encode given frames to features, which are added to the hidden states of the image UNet at its sites.

`features` gets the further channels `(b f) c h w` and returns what is added after the UNet's module at each site.
"""

from collections.abc import Mapping
from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.unet import Site
from ..errors import WrongFile
from ..formats.facts import FileShapes
from ..formats.keytable import KeyTable
from ..formats.published import Published
from ..formats.strict import fill
from ..layers.positions import frame_table
from .frame_guide import LATENT, GuideDesign


class ConvBranch(nn.Module):
    """The part of a wider first convolution for the further channels (DynamiCrafter, PIA, SEINE). The bias is the UNet's."""

    def __init__(self, channels: int, width: int, ops: Any):
        super().__init__()
        self.conv = ops.Conv2d(channels, width, 3, padding=1, bias=False)

    @property
    def widths(self) -> dict[Site, int]:
        return {"input": self.conv.out_channels}

    def features(self, channels: Tensor, frames: int) -> dict[Site, Tensor]:
        return {"input": self.conv(channels)}


class EncoderBlock(nn.Module):
    """Two convolutions with a residual. halves: whether the resolution is halved before them, as at the start of a level."""

    def __init__(self, before: int, width: int, halves: bool, ops: Any):
        super().__init__()
        self.halves = halves
        self.in_conv = ops.Conv2d(before, width, 1) if before != width else nn.Identity()
        self.block1 = ops.Conv2d(width, width, 3, padding=1)
        self.block2 = ops.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:  # (n, c, h, w)
        if self.halves:
            odd = (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)
            x = F.avg_pool2d(F.pad(x, odd, mode="replicate"), 2)
        x = self.in_conv(x)
        return x + self.block2(F.relu(self.block1(x)))


class PictureEncoder(nn.Module):
    """AnimateLCM-I2V's `img_encoder`: encodes the picture's latent with frame positions. Its features are added at the end of
    each down level, before the level's last temporal layer (G-U-N/AnimateLCM f873122, `Adapter`)."""

    POSITIONS = 0.8
    """Weight of the frame positions (`motion_scale`)."""

    def __init__(self, widths: list[int], ops: Any):
        super().__init__()
        self.conv_in = ops.Conv2d(LATENT, widths[0], 3, padding=1)
        before = [widths[0], *widths]
        self.body = nn.ModuleList(
            EncoderBlock(before[level] if block == 0 else width, width, level > 0 and block == 0, ops)
            for level, width in enumerate(widths)
            for block in (0, 1)
        )
        self.levels = widths

    @property
    def widths(self) -> dict[Site, int]:
        return {f"down.{level}.1.out": width for level, width in enumerate(self.levels)}

    def features(self, channels: Tensor, frames: int) -> dict[Site, Tensor]:
        x = self.conv_in(channels)  # (b f) c h w
        table = frame_table(frames, self.levels[0]).to(x.device, x.dtype)
        positions = rearrange(table, "1 f c -> f c 1 1").repeat(len(x) // frames, 1, 1, 1)
        x = x + self.POSITIONS * positions
        found = {}
        for level, site in enumerate(self.widths):
            x = self.body[2 * level + 1](self.body[2 * level](x))
            found[site] = x
        return found


ENCODER = "img_encoder."
TENSORS_PER_LEVEL = 9
"""Average number of tensors per level of the encoder: 8 (two blocks of two convolutions with weight and bias), and 10 where the
width changes."""


INPUT = Published("frame_guide", "the picture input of a motion file", ())
"""Name in error messages of the strict loader."""


def guide_network(guide: GuideDesign, image: Mapping[str, Tensor], ops: Any) -> nn.Module | None:
    """The network for given frames, from a motion file's part `image`; None where the family has none.

    Raises WrongFile where the tensors are not those of such a network.
    """
    if not guide.channels:
        return None
    weights = {key.removeprefix(ENCODER): value for key, value in image.items() if key.startswith(ENCODER)}
    if weights:
        shapes = FileShapes.of(weights)
        levels = range(len(shapes) // TENSORS_PER_LEVEL)
        widths = [shapes[f"body.{2 * level}.block1.weight"][0] for level in levels]
        return fill(INPUT, weights, KeyTable(()), lambda ops: PictureEncoder(widths, ops), ops)
    if "conv_in.weight" not in image or image["conv_in.weight"].ndim != 4:
        raise WrongFile("this looks like a motion file with a picture input, but it lacks conv_in.weight")
    weight = image["conv_in.weight"]  # PIA's file also has the four channels of the noisy latent, in front and unchanged
    weights = {"conv.weight": weight[:, -guide.width :].contiguous()}
    return fill(INPUT, weights, KeyTable(()), lambda ops: ConvBranch(guide.width, len(weight), ops), ops)
