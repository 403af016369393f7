"""Causal convolutions, and CV-VAE (arXiv 2405.20279): LDM's autoencoder over clips, with time compressed by 4.

AILab-CVC/CV-VAE 375f18a. The first latent is that of a single frame, so pictures are encoded as clips of one frame; latents are
compatible with Stable Diffusion 2.1. Half of the convolutions are 2-D; the encoder is causal, the decoder is not.
"""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.attention import scaled_dot_product
from .kl import PixelAttention
from .skeleton import Decoder, Encoder, Parts


class CausalConv(nn.Conv3d):
    """3-D convolution that reads no later frame. Padding: zeros in space; in time, before the clip, by the mode `past`."""

    def __init__(self, before: int, width: int, kernel: int, stride: int = 1, past: str = "replicate", bias: bool = True):
        super().__init__(before, width, kernel, (stride, 1, 1), bias=bias)
        self.around, self.earlier, self.past = kernel // 2, kernel - stride if kernel > 1 else 0, past

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name  (b, c, t, h, w)
        x = F.pad(input, (self.around,) * 4 + (0, 0))
        return super().forward(F.pad(x, (0, 0, 0, 0, self.earlier, 0), mode=self.past) if self.earlier else x)


class FrameConv(nn.Conv2d):
    """2-D convolution of every frame of `(b, c, t, h, w)`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name  (b, c, t, h, w)
        out = super().forward(rearrange(input, "b c t h w -> (b t) c h w"))
        return rearrange(out, "(b t) c h w -> b c t h w", b=input.shape[0])


class Halve(nn.Module):
    """Halves space, and time where `squeeze` is 2; padding is on the right, below, and before the first frame."""

    def __init__(self, channels: int, squeeze: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, 3, (squeeze, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1, 0, 0))
        return self.conv(F.pad(x, (0, 0, 0, 0, 2, 0), mode="replicate"))


class Double(nn.Module):
    """Doubles space, and time where `stretch` is 2: further frames come from channels, and the very first is dropped."""

    def __init__(self, channels: int, stretch: int):
        super().__init__()
        self.stretch = stretch
        self.conv = nn.Conv3d(channels, channels * stretch, 3, padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")
        x = self.conv(F.pad(x, (0, 0, 0, 0, 1, 1), mode="replicate"))
        return rearrange(x, "b (n c) t h w -> b c (t n) h w", n=self.stretch)[:, :, self.stretch - 1 :]


class FramesAttention(PixelAttention):
    """Attention over each frame's pixels, then over the frames at each pixel where `over_time`; one residual for both."""

    def __init__(self, channels: int, over_time: bool):
        super().__init__(channels, nn.GroupNorm(32, channels, eps=1e-5))
        self.over_time = over_time
        if over_time:
            self.norm_t = nn.LayerNorm(channels)
            self.q_t, self.k_t, self.v_t, self.proj_out_t = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:  # (b, c, t, h, w)
        h = self.change(rearrange(x, "b c t h w -> (b t) c h w"))
        if not self.over_time:
            return x + rearrange(h, "(b t) c h w -> b c t h w", b=x.shape[0])
        tokens = self.norm_t(rearrange(h, "(b t) c h w -> (b h w) t c", b=x.shape[0]))
        out = self.proj_out_t(scaled_dot_product(self.q_t(tokens), self.k_t(tokens), self.v_t(tokens), heads=1))
        return x + rearrange(out, "(b h w) t c -> b c t h w", h=x.shape[3], w=x.shape[4])


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(32, channels, eps=1e-5)


def _frames(before: int, width: int) -> nn.Module:
    return FrameConv(before, width, 3, padding=1)


ENCODER = Parts(
    conv=lambda before, width: CausalConv(before, width, 3),
    second=_frames,
    point=lambda before, width: CausalConv(before, width, 1),
    norm=_norm,
    attention=lambda channels: FramesAttention(channels, over_time=False),
    resample=lambda channels, level: Halve(channels, 2 if level % 2 == 0 else 1),
    half=lambda channels: nn.Identity(),
)
DECODER = Parts(
    conv=lambda before, width: nn.Conv3d(before, width, 3, padding=1),
    second=_frames,
    point=lambda before, width: nn.Conv3d(before, width, 1),
    norm=_norm,
    attention=lambda channels: FramesAttention(channels, over_time=True),
    resample=lambda channels, level: Double(channels, 2 if level % 2 == 1 else 1),
    half=lambda channels: nn.Identity(),
)


class CausalVae(nn.Module):
    """CV-VAE's network.

    widths   channels per level, highest resolution first
    blocks   residual blocks per level of the encoder; the decoder has one more
    latent   channels of the latent
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, latent: int):
        super().__init__()
        self.side, self.each, self.latent = 2 ** (len(widths) - 1), 2 ** (len(widths) // 2), latent
        self.encoder = Encoder(widths, blocks, 2 * latent, ENCODER)
        self.decoder = Decoder(widths, blocks + 1, latent, DECODER)

    def moments(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes clips `(b, 3, 1 + each * k, h, w)` in [-1, 1]: mean and log variance `(b, c, 1 + k, h / side, w / side)`."""
        mean, logvar = self.encoder(clip).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def encode(self, clip: Tensor) -> Tensor:
        """The mean of `moments`, so that latents do not vary between runs."""
        return self.moments(clip)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes latents `(b, c, 1 + k, h, w)` to clips `(b, 3, 1 + each * k, side * h, side * w)`."""
        return self.decoder(latents)
