"""Clips of any length through any VAE of the host: fixed windows over time, tiles in space, every window checked.

Core decodes as many frames at once as memory happens to be free, and where that was too many, one at a time. Here the window is
a setting or the VAE's own, so that a graph gives the same frames on every machine; out of memory makes the tiles smaller, in
space only.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import comfy.model_management
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call

from ....models.vae.norms import WholePicture, small_copy
from ....sampling.tiles import Grid, over_tiles
from ....sampling.windowing import TimeRatio, WindowSpec, decode_stream, encode_stream

log = logging.getLogger(__name__)

Direction = Literal["encode", "decode"]
Around = Callable[[nn.Module], AbstractContextManager[Any]]
"""What surrounds a call of a network."""
SMALLEST_TILE = 16
"""Latent cells; a device that cannot take this has no room for the VAE at all."""

IMAGES, CLIPS, SVD = WindowSpec(16), WindowSpec(16, 2), WindowSpec(14, 4)
"""Windows in latents for VAEs that are not ours: of single frames, of whole clips that squeeze time (core's own tiles have as
many), and Stable Video Diffusion's."""


@dataclass(frozen=True)
class ChunkOptions:
    """How an artist wants a clip cut."""

    window: int = 0
    """Latents that the VAE sees at once; 0: its own."""
    overlap: int = -1
    """Latents that neighbouring windows share; -1: its own."""
    fade: bool | None = None
    """Cross-fade what both windows made of them, or cut in the middle; None: its own."""
    tile: int = 0
    """Side of a tile in pixels; 0: whole pictures."""


class ChunkedVae:
    """A VAE of the host, as something that long clips go through.

    ratio   frames per latent; side: pixels per latent and side; notes: what an artist should know about the result
    """

    def __init__(self, vae: Any, options: ChunkOptions | None = None, tell: Callable[[str], None] | None = None):
        options = options or ChunkOptions()
        vae.throw_exception_if_invalid()
        if vae.latent_dim not in (2, 3) or vae.extra_1d_channel is not None:
            raise ValueError("this VAE is for sound, not for pictures; connect the VAE of an image or video checkpoint")
        self.vae, self.side = vae, int(vae.spacial_compression_encode())
        self.squeezes = vae.latent_dim == 3 and not vae.not_video
        self.ratio = ratio_of(vae) if self.squeezes else TimeRatio()
        self.cut = _cut(native_windows(vae, self.squeezes), options)
        self._tile = -(-options.tile // self.side)
        self._tell = tell or log.warning
        self.notes: list[str] = []

    def decode(self, latents: Iterable[Tensor]) -> Iterator[Tensor]:
        """Latents of one clip `(c, h, w)`, as a LATENT has them, to frames `(3, h, w)` in [0, 1] on the CPU."""
        return decode_stream(self._pictures, latents, self.ratio, self.cut)

    def encode(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Frames `(3, h, w)` in [0, 1], sides multiples of `side`, to latents `(c, h, w)` in float32 on the CPU."""
        return encode_stream(self._latents, frames, self.ratio, self.cut)

    def _pictures(self, latents: Tensor) -> Tensor:  # (n, c, h, w) -> (f, 3, h, w)
        made = self._through("decode", self._shaped(latents))
        return self.vae.process_output(rearrange(made, "1 c f h w -> f c h w") if self.squeezes else self._flat(made))

    def _latents(self, frames: Tensor) -> Tensor:  # (f, 3, h, w) -> (n, c, h, w)
        made = self._through("encode", self._shaped(self.vae.process_input(frames)))
        return rearrange(made, "1 c n h w -> n c h w") if self.squeezes else self._flat(made)

    def _shaped(self, x: Tensor) -> Tensor:
        """As the VAE's network wants it: a batch of pictures, a batch of clips of one picture, or one clip."""
        if self.squeezes:
            return rearrange(x, "n c h w -> 1 c n h w")
        return rearrange(x, "n c h w -> n c 1 h w") if self.vae.latent_dim == 3 else x

    def _flat(self, x: Tensor) -> Tensor:
        return rearrange(x, "n c 1 h w -> n c h w") if x.ndim == 5 else x

    def _through(self, direction: Direction, x: Tensor) -> Tensor:
        """One window, whole or in tiles; where memory runs out, in smaller tiles from here on."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        cells = tuple(side // (1 if direction == "decode" else self.side) for side in x.shape[-2:])
        while True:
            try:
                return self._tiled(direction, x) if 0 < self._tile < max(cells) else self._checked(direction, x)
            except Exception as error:  # noqa: BLE001  the host knows which of them mean memory
                if not out_of_memory(error):
                    raise
                problem = str(error).partition("\n")[0]
            comfy.model_management.soft_empty_cache()  # not before the error and all it holds on to are gone
            self._shrink(direction, max(cells), problem)

    def _tiled(self, direction: Direction, x: Tensor) -> Tensor:
        before, after = (1, self.side) if direction == "decode" else (self.side, 1)
        picture = WholePicture()
        self._checked(direction, small_copy(x, self._tile * before, before), picture.taken)
        grid = Grid(self._tile, self._tile // 4, before, after)
        return over_tiles(lambda tile, _: self._checked(direction, tile, picture.given), x, grid)

    def _shrink(self, direction: Direction, largest: int, problem: str) -> None:
        before = min(self._tile or largest, largest)
        if before <= SMALLEST_TILE:
            raise RuntimeError(
                f"the device ran out of memory with tiles of {before * self.side} pixels and {self.cut.size} latents at once "
                f"({problem}). Lower window (now {self.cut.size}), or run the VAE on the CPU (--cpu-vae)."
            )
        self._tile = max(SMALLEST_TILE, -(-before // 2))
        self.say(
            f"out of memory: {direction}d in tiles of {self._tile * self.side} pixels, blended; time stays whole. "
            f"To be the same on every machine, set tile_size to {self._tile * self.side}"
        )

    def _checked(self, direction: Direction, x: Tensor, around: Around = nullcontext) -> Tensor:
        """What the network makes of x, in float32 on the CPU; undefined numbers are made again with wider numbers."""
        own = self.vae.vae_dtype
        for dtype in wider(own, self.vae.device):
            out = self._call(direction, x, dtype, around)
            if bool(torch.isfinite(out).all()):
                if dtype != own:
                    self.say(f"undefined numbers (NaN) in {_name(own)}: {direction}d again in {_name(dtype)}")
                return out
        what = "latents" if direction == "decode" else "frames"
        remedy = "the sampler made them: lower the cfg, or run the model in bf16 or fp32"
        if bool(torch.isfinite(x).all()):
            remedy = "they are sound, so it is the VAE: download it again, or use another one"
        raise ValueError(f"the VAE makes undefined numbers (NaN) of these {what}, in float32 as well; {remedy}")

    def _call(self, direction: Direction, x: Tensor, dtype: torch.dtype, around: Around) -> Tensor:
        vae = self.vae
        estimate = vae.memory_used_decode if direction == "decode" else vae.memory_used_encode
        pictures = 1 if self.squeezes else x.shape[0]  # the host's estimates are of one picture, or of a whole clip
        comfy.model_management.load_models_gpu(
            [vae.patcher], memory_required=pictures * estimate(x.shape, dtype), force_full_load=vae.disable_offload
        )
        run = _Run(vae.first_stage_model, direction)
        x = x.to(vae.device, dtype)
        with around(vae.first_stage_model):
            if dtype == vae.vae_dtype:
                return run(x).to("cpu", torch.float32)
            weights = {name: p.to(dtype) if p.is_floating_point() else p for name, p in run.state_dict(keep_vars=True).items()}
            return functional_call(run, weights, (x,)).to("cpu", torch.float32)

    def say(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            self._tell(text)


class _Run(nn.Module):
    """One direction of an autoencoder as a module's call; torch swaps weights of calls only."""

    def __init__(self, network: nn.Module, direction: Direction):
        super().__init__()
        self.network, self._direction = network, direction

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.network, self._direction)(x)


def ratio_of(vae: Any) -> TimeRatio:
    """What the host's formula says of the first latents."""
    told = getattr(vae, "zoetrope_ratio", None)
    if told is not None:
        return told
    count = vae.upscale_ratio[0]
    return TimeRatio(each=round(count(3) - count(2)), first=round(count(1)))


def native_windows(vae: Any, squeezes: bool) -> WindowSpec:
    """How a VAE likes long clips cut, where nobody says otherwise."""
    told = getattr(vae, "zoetrope_cut", None)
    if told is not None:
        return told
    return CLIPS if squeezes else SVD if sees_time(vae) else IMAGES


def sees_time(vae: Any) -> bool:
    """Whether frames change each other in its decoder, though every frame has a latent of its own."""
    network = getattr(vae, "first_stage_model", None)
    return isinstance(network, nn.Module) and any(isinstance(module, nn.Conv3d) for module in network.modules())


def out_of_memory(error: Exception) -> bool:
    asked = getattr(comfy.model_management, "is_oom", None)  # newer hosts know more kinds
    return asked(error) if asked else isinstance(error, comfy.model_management.OOM_EXCEPTION)


def wider(dtype: torch.dtype, device: Any) -> tuple[torch.dtype, ...]:
    """A VAE's own type, then those that hold larger numbers."""
    half = dtype == torch.float16 and comfy.model_management.should_use_bf16(device)
    return (dtype, *((torch.bfloat16,) if half else ()), *((torch.float32,) if dtype != torch.float32 else ()))


def _cut(own: WindowSpec, options: ChunkOptions) -> WindowSpec:
    size = options.window or own.size
    overlap = min(own.overlap, size // 2) if options.overlap < 0 else options.overlap
    return WindowSpec(size, overlap, own.fade if options.fade is None else options.fade)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
