"""LVDM's 3-D autoencoder (He et al. 2022, arXiv 2211.13221), with replicate padding in time and space.

YingqingHe/LVDM d251dcc, after TATS. Convolutions of width 4 halve or double the size; odd padding has one more in front. Time
is compressed at every level but the last one: by 4 where space is compressed by 8.
"""

from math import prod

from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int, int]


def around(kernel: int, stride: Size) -> tuple[int, ...]:
    """Padding for `F.pad`: width first, front before back. stride: of time, height, width."""
    return tuple(side for step in reversed(stride) for side in ((kernel - step + 1) // 2, (kernel - step) // 2))


class Conv(nn.Conv3d):
    """3-D convolution with replicate padding."""

    def __init__(self, before: int, width: int, kernel: int, stride: Size = (1, 1, 1)):
        super().__init__(before, width, kernel, stride)
        self.around = around(kernel, stride)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        return super().forward(F.pad(input, self.around, mode="replicate"))


class Double(nn.ConvTranspose3d):
    """Transposed convolution of width 4, cropped so that axes with stride 2 double in size."""

    def __init__(self, before: int, width: int, stride: Size):
        super().__init__(before, width, 4, stride, padding=3)
        self.around = around(4, stride)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002  torch's name
        return super().forward(F.pad(input, self.around, mode="replicate"), output_size)


class Block(nn.Module):
    """Residual block: norm, SiLU, convolution, twice."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(32, channels, eps=1e-6) for _ in range(2))
        self.conv1, self.conv2 = (Conv(channels, channels, 3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Down(nn.Module):
    """A downsampling convolution to twice the channels, and a residual block."""

    def __init__(self, before: int, stride: Size):
        super().__init__()
        self.down = Conv(before, 2 * before, 4, stride)
        self.res = Block(2 * before)

    def forward(self, x: Tensor) -> Tensor:
        return self.res(self.down(x))


class Up(nn.Module):
    """An upsampling convolution and two residual blocks."""

    def __init__(self, before: int, width: int, stride: Size):
        super().__init__()
        self.up = Double(before, width, stride)
        self.res1, self.res2 = Block(width), Block(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.res2(self.res1(self.up(x)))


class ReplicateVae(nn.Module):
    """LVDM's network. width: channels of the first layer; levels: number of downsamplers; latent: channels of the latent."""

    def __init__(self, width: int, levels: int, latent: int):
        super().__init__()
        strides: list[Size] = [(2, 2, 2)] * (levels - 1) + [(1, 2, 2)]
        self.side, self.each = prod(s[1] for s in strides), prod(s[0] for s in strides)
        self.latent = latent
        widths = [width * 2**level for level in range(levels + 1)]
        self.encoder = nn.ModuleDict({
            "conv_first": Conv(3, width, 3),
            "conv_blocks": nn.Sequential(*(Down(before, stride) for before, stride in zip(widths[:-1], strides, strict=True))),
            "final_block": nn.Sequential(nn.GroupNorm(32, widths[-1], eps=1e-6), nn.SiLU(), Conv(widths[-1], 2 * latent, 3)),
        })  # fmt: skip
        ups = [Up(latent if n == 0 else widths[-n], widths[-1 - n], stride) for n, stride in enumerate(strides)]
        self.decoder = nn.ModuleDict({"conv_blocks": nn.Sequential(*ups), "conv_out": Conv(widths[1], 3, 3)})
        self.quant_conv, self.post_quant_conv = Conv(2 * latent, 2 * latent, 1), Conv(latent, latent, 1)

    def moments(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes clips `(b, 3, f, h, w)` in [-1, 1] to mean and log variance `(b, c, f / each, h / side, w / side)`."""
        for name in ("conv_first", "conv_blocks", "final_block"):
            clip = self.encoder[name](clip)
        mean, logvar = self.quant_conv(clip).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def encode(self, clip: Tensor) -> Tensor:
        """The mean of `moments`, so that latents do not vary between runs."""
        return self.moments(clip)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes latents `(b, c, t, h, w)` to clips `(b, 3, each * t, side * h, side * w)`."""
        return self.decoder["conv_out"](self.decoder["conv_blocks"](self.post_quant_conv(latents)))
