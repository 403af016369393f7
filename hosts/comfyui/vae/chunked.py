"""Clips of any length through any VAE of the host: fixed windows over time, tiles in space, every window checked.

Core decodes as many frames at once as fit into free memory, and where memory still runs out, one at a time. Here the window is
a setting or the VAE's default, so that a graph gives the same frames on every machine; where memory runs out, tiles are made
smaller, in space only.
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
"""Makes a context manager for a call of a network."""
SMALLEST_TILE = 16
"""Latent pixels; where memory runs out with this tile, an error is raised."""

IMAGES, CLIPS, SVD = WindowSpec(16), WindowSpec(16, 2), WindowSpec(14, 4)
"""Windows in latents for the host's VAEs: image VAEs, VAEs that compress time (as many as in core's tiles), and Stable Video
Diffusion's."""


@dataclass(frozen=True)
class ChunkOptions:
    """Windows and tiles that a clip is cut into."""

    window: int = 0
    """Latents per window; 0: the VAE's default."""
    overlap: int = -1
    """Latents that neighbouring windows share; -1: the VAE's default."""
    fade: bool | None = None
    """Whether to cross-fade the overlap or cut in its middle; None: the VAE's default."""
    tile: int = 0
    """Side of a tile in pixels; 0: no tiles."""


class ChunkedVae:
    """A VAE of the host that encodes and decodes clips of any length in windows and tiles.

    side       pixels per latent pixel
    squeezes   whether it compresses time; ratio: frames and latents
    notes      notes for the user about the result
    """

    def __init__(self, vae: Any, options: ChunkOptions | None = None, on_note: Callable[[str], None] | None = None):
        options = options or ChunkOptions()
        vae.throw_exception_if_invalid()
        if vae.latent_dim not in (2, 3) or vae.extra_1d_channel is not None:
            raise ValueError("this VAE is for sound, not for pictures; connect the VAE of an image or video checkpoint")
        self.vae, self.side = vae, int(vae.spacial_compression_encode())
        self.squeezes = vae.latent_dim == 3 and not vae.not_video
        self.ratio = ratio_of(vae) if self.squeezes else TimeRatio()
        self.cut = _cut(native_windows(vae, self.squeezes), options)
        self.tile = options.tile
        self._on_note = on_note or log.warning
        self.notes: list[str] = []

    def decode(self, latents: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decodes latents `(c, h, w)` of one clip, in a LATENT's scale, to frames `(3, h, w)` in [0, 1] on the CPU."""
        return decode_stream(self.decode_window, latents, self.ratio, self.cut)

    def encode(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encodes frames `(3, h, w)` in [0, 1], sides multiples of `side`, to latents `(c, h, w)` in float32 on the CPU."""
        return encode_stream(self._latents, frames, self.ratio, self.cut)

    @property
    def tile(self) -> int:
        """Side of a tile in pixels; 0: no tiles. It becomes smaller where memory runs out."""
        return self._tile * self.side

    @tile.setter
    def tile(self, pixels: int) -> None:
        self._tile = -(-pixels // self.side)

    def decode_window(self, latents: Tensor) -> Tensor:
        """Decodes one window `(n, c, h, w)`, in a LATENT's scale, to frames `(f, 3, h, w)` in [0, 1] on the CPU."""
        pictures = self._run("decode", self._shaped(latents))
        return self.vae.process_output(rearrange(pictures, "1 c f h w -> f c h w") if self.squeezes else self._flat(pictures))

    def _latents(self, frames: Tensor) -> Tensor:  # (f, 3, h, w) -> (n, c, h, w)
        latents = self._run("encode", self._shaped(self.vae.process_input(frames)))
        return rearrange(latents, "1 c n h w -> n c h w") if self.squeezes else self._flat(latents)

    def _shaped(self, x: Tensor) -> Tensor:
        """Input shape of the VAE's network: a batch of pictures, a batch of clips of one picture, or one clip."""
        if self.squeezes:
            return rearrange(x, "n c h w -> 1 c n h w")
        return rearrange(x, "n c h w -> n c 1 h w") if self.vae.latent_dim == 3 else x

    def _flat(self, x: Tensor) -> Tensor:
        return rearrange(x, "n c 1 h w -> n c h w") if x.ndim == 5 else x

    def _run(self, direction: Direction, x: Tensor) -> Tensor:
        """Processes one window, with or without tiles; where memory runs out, it and later windows in smaller tiles."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        cells = tuple(side // (1 if direction == "decode" else self.side) for side in x.shape[-2:])
        while True:
            try:
                return self._tiled(direction, x) if 0 < self._tile < max(cells) else self._checked(direction, x)
            except Exception as error:  # noqa: BLE001  the host has several kinds of out of memory
                if not out_of_memory(error):
                    raise
                problem = str(error).partition("\n")[0]
            comfy.model_management.soft_empty_cache()  # only now, as the error keeps tensors alive
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
        self.note(
            f"out of memory: {direction}d in tiles of {self._tile * self.side} pixels, blended; time is not cut. "
            f"To be the same on every machine, set tile_size to {self._tile * self.side}"
        )

    def _checked(self, direction: Direction, x: Tensor, around: Around = nullcontext) -> Tensor:
        """The network's output in float32 on the CPU; where it has NaN, it is computed again in a wider dtype."""
        default = self.vae.vae_dtype
        for dtype in wider(default, self.vae.device):
            out = self._call(direction, x, dtype, around)
            if bool(torch.isfinite(out).all()):
                if dtype != default:
                    self.note(f"NaN in {_name(default)}: {direction}d again in {_name(dtype)}")
                return out
        what = "latents" if direction == "decode" else "frames"
        remedy = "the sampler made them: lower the cfg, or run the model in bf16 or fp32"
        if bool(torch.isfinite(x).all()):
            remedy = "they are sound, so it is the VAE: download it again, or use another one"
        raise ValueError(f"the VAE returns NaN for these {what}, in float32 as well; {remedy}")

    def _call(self, direction: Direction, x: Tensor, dtype: torch.dtype, around: Around) -> Tensor:
        vae = self.vae
        estimate = vae.memory_used_decode if direction == "decode" else vae.memory_used_encode
        pictures = 1 if self.squeezes else x.shape[0]  # the host's estimates are for one picture, or one clip
        comfy.model_management.load_models_gpu(
            [vae.patcher], memory_required=pictures * estimate(x.shape, dtype), force_full_load=vae.disable_offload
        )
        run = _OneDirection(vae.first_stage_model, direction)
        x = x.to(vae.device, dtype)
        with around(vae.first_stage_model):
            if dtype == vae.vae_dtype:
                return run(x).to("cpu", torch.float32)
            weights = {name: p.to(dtype) if p.is_floating_point() else p for name, p in run.state_dict(keep_vars=True).items()}
            return functional_call(run, weights, (x,)).to("cpu", torch.float32)

    def note(self, text: str) -> None:
        """Adds a note and passes it to `on_note`, once per text."""
        if text not in self.notes:
            self.notes.append(text)
            self._on_note(text)


class _OneDirection(nn.Module):
    """`encode` or `decode` of an autoencoder as a module's forward: `functional_call` replaces weights of a forward only."""

    def __init__(self, network: nn.Module, direction: Direction):
        super().__init__()
        self.network, self._direction = network, direction

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.network, self._direction)(x)


def ratio_of(vae: Any) -> TimeRatio:
    """Frames per latent of a VAE that compresses time, from the host's formula."""
    ratio = getattr(vae, "zoetrope_ratio", None)
    if ratio is not None:
        return ratio
    count = vae.upscale_ratio[0]
    return TimeRatio(each=round(count(3) - count(2)), first=round(count(1)))


def check_frame_by_frame(vae: Any, what: str) -> None:
    """Raises ValueError for a VAE whose latents are of several frames each."""
    if getattr(vae, "latent_dim", 2) == 3 and not getattr(vae, "not_video", False) and ratio_of(vae).each > 1:
        raise ValueError(
            f"{what}: this VAE makes {ratio_of(vae).each} frames of each latent, but one latent per frame is needed; "
            "connect an image VAE, or a temporal VAE with a latent per frame"
        )


def native_windows(vae: Any, squeezes: bool) -> WindowSpec:
    """A VAE's default windows."""
    windows = getattr(vae, "zoetrope_cut", None)
    if windows is not None:
        return windows
    return CLIPS if squeezes else SVD if sees_time(vae) else IMAGES


def sees_time(vae: Any) -> bool:
    """Whether the decoder of a VAE with a latent per frame uses neighbouring frames."""
    network = getattr(vae, "first_stage_model", None)
    return isinstance(network, nn.Module) and any(isinstance(module, nn.Conv3d) for module in network.modules())


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that a device ran out of memory."""
    is_oom = getattr(comfy.model_management, "is_oom", None)  # newer hosts recognise more kinds
    return is_oom(error) if is_oom else isinstance(error, comfy.model_management.OOM_EXCEPTION)


def wider(dtype: torch.dtype, device: Any) -> tuple[torch.dtype, ...]:
    """A VAE's dtype, then those with a larger range, in order."""
    half = dtype == torch.float16 and comfy.model_management.should_use_bf16(device)
    return (dtype, *((torch.bfloat16,) if half else ()), *((torch.float32,) if dtype != torch.float32 else ()))


def _cut(default: WindowSpec, options: ChunkOptions) -> WindowSpec:
    size = options.window or default.size
    overlap = min(default.overlap, size // 2) if options.overlap < 0 else options.overlap
    return WindowSpec(size, overlap, default.fade if options.fade is None else options.fade)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
