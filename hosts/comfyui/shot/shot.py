"""Endless shots in ComfyUI: sampled in rounds through any guider, decoded between them, written as they go."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import comfy.ldm.modules.attention as comfy_attention
import comfy.model_management
import comfy.sample
import comfy.samplers
import comfyui_version
import torch
from einops import rearrange
from torch import Tensor

from ....sampling import fifo
from ....sampling.noise import FrameNoise
from ....sampling.queue import Queue, Schedules, begin
from ....shots.folder import Place, journal_for
from ....shots.journal import SEGMENT, Scalar, Sizes, State
from ....shots.record import Crew, Keep, Look, Shot, film
from ..fingerprint import digest, model_settings, weights
from ..sampling.guider import Rounds, enough_memory
from ..vae.chunked import sees_time

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What an artist asks for."""

    frames: int = 96
    fps: float = 8.0
    seed: int = 0
    queue: Queue = field(default_factory=Queue)
    sigmas: Tensor | None = None
    """None: the published levels of the model's own schedule."""
    schedules: Schedules = field(default_factory=Schedules)
    given: Tensor | None = None
    """Latents (f, c, h, w) to go on after, as a LATENT holds them."""


@dataclass(frozen=True)
class Scene:
    """Who plays: a guider with its conditions set, the VAE, and the size of a latent."""

    guider: Any
    vae: Any
    latent: tuple[int, int, int]
    """c h w"""

    @property
    def model(self) -> Any:
        return self.guider.model_patcher

    def latent_out(self, latents: Tensor) -> Tensor:
        """Latents as the sampler has them, as a LATENT."""
        return self.model.model.process_latent_out(latents.float())


def prepare(guider: Any, vae: Any, latent: dict[str, Any]) -> tuple[Scene, Order]:
    """The scene, and an order that goes on after the latents, where they hold pictures. Raises ValueError for other latents."""
    if latent.get("noise_mask") is not None:
        raise ValueError("a long shot takes no noise mask; remove Set Latent Noise Mask")
    samples = comfy.sample.fix_empty_latent_channels(guider.model_patcher, latent["samples"])
    if samples.ndim != 4:
        raise ValueError(f"latent: expected one latent per frame (f, c, h, w), got {tuple(samples.shape)}")
    if sees_time(vae):
        log.warning(
            "Zoetrope: a long shot is decoded frame by frame, so this VAE cannot see the frames around; see the help page"
        )
    c, h, w = samples.shape[1:]
    return Scene(guider, vae, (c, h, w)), Order(given=samples if bool(samples.any()) else None)


class Audience(Protocol):
    """Who is told how it goes."""

    def opening(self, folder: str, resumed: int, news: Sequence[str]) -> None:
        """Where the shot is written, how many of its frames are there already, and why it is a new one, where it is."""

    def starting(self, step: int, steps: int) -> None:
        """The base clip, before the first frame."""

    def progress(self, done: int, total: int, look: Look | None, seconds_left: float) -> None:
        """Frames done, warm-up included; look: a frame that was decoded, where one was."""


def shape_for(scene: Scene, order: Order) -> fifo.Diagonal:
    return order.queue.shape(getattr(scene.model.get_model_object("model_sampling"), "sigmas", None), order.sigmas)


def shoot(scene: Scene, order: Order, place: Place, audience: Audience) -> tuple[Shot, list[str]]:
    """Films a shot into a folder of its own, or goes on with the one that was begun with the same settings.

    Returns what was made, and in words what is different from the last shot of this name, where it could not go on with that.
    """
    shape = shape_for(scene, order)
    sizes = Sizes(shape.places, SEGMENT, scene.latent)
    journal, news = journal_for(place, sizes, settings_of(scene, order, shape), _made_with(scene))
    stored = journal.state()
    audience.opening(
        f"{journal.folder.parent.name}/{journal.folder.name}", min(order.frames, max(0, stored.frame)) if stored else 0, news
    )
    camera = Camera(scene, order, shape, audience)
    crew = Crew(camera.begin, camera.sample, camera.decode, camera.note)
    shot = film(journal, crew, order.frames, order.fps, tail=len(shape.sigmas))
    return shot, news


class Camera:
    """A scene in the host's hands."""

    def __init__(self, scene: Scene, order: Order, shape: fifo.Diagonal, audience: Audience | None):
        self._scene, self._order, self._shape, self._audience = scene, order, shape, audience
        self._noise = FrameNoise(order.seed, scene.latent)
        self._rows = shape.window * order.queue.windows_per_call
        base = scene.model.model
        self._out: Callable[[Tensor], Tensor] = base.process_latent_out
        self._given = None if order.given is None else base.process_latent_in(order.given.float()).cpu()
        self._pace = Pace()

    def begin(self) -> State:
        made: list[State] = []

        def work(denoise: fifo.Denoiser) -> None:
            start = begin(denoise, self._shape, self._noise, self._order.queue.start, self._given, self._note_start)
            made.append(State(start.frame, start.queue, start.finished))

        self.round(work)
        return made[0]

    def sample(self, state: State, keep: Keep) -> None:
        def work(denoise: fifo.Denoiser) -> None:
            device = comfy.model_management.get_torch_device()
            together = self._order.queue.windows_per_call
            shot = fifo.run(denoise, state.queue.to(device), self._shape, self._noise.at, state.frame, together, self._given)
            for frame, latent, queue in shot:
                if not keep(frame, latent, queue):
                    return

        self.round(work)

    def round(self, work: Callable[[fifo.Denoiser], None]) -> None:
        """The host loads models for the rows of one call and hands the guider to `work`."""
        rows = torch.zeros(self._rows, *self._scene.latent)
        sampler = Rounds(work, self._shape.window, self._order.schedules)
        sigmas = torch.cat([self._shape.sigmas.flip(0), torch.tensor([self._shape.last])])
        together = self._order.queue.windows_per_call
        fewer = f"windows_per_call (now {together}) in Queue Settings, then " if together > 1 else ""
        with enough_memory(
            f"a call of {self._rows} frames", f"{fewer}window (now {self._shape.window}), then width and height"
        ):
            self._scene.guider.sample(rows, rows, sampler, sigmas, disable_pbar=True, seed=self._order.seed)

    def decode(self, latent: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        with enough_memory("decoding a frame", "width and height, or run the VAE on the CPU (--cpu-vae)"):
            picture = self._scene.vae.decode(self._out(latent[None].float()))
        return rearrange(picture[0].float().cpu(), "h w c -> c h w")[:3]

    def _note_start(self, step: int) -> None:
        if self._audience:
            self._audience.starting(step, len(self._shape.sigmas))

    def note(self, done: int, total: int, look: Look | None) -> None:
        if self._audience:
            self._audience.progress(done, total, look, self._pace.left(done, total))


class Pace:
    """How long the rest will take, by the frames of this run."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def left(self, done: int, total: int) -> float:
        """Seconds."""
        return (time.monotonic() - self._started) / done * (total - done) if done else 0.0


def settings_of(scene: Scene, order: Order, shape: fifo.Diagonal) -> Mapping[str, Scalar]:
    """Everything that decides about a bit of the shot, by the name that an artist gives it. Its length does not."""
    plain = {name: value for name, value in vars(scene.guider).items() if isinstance(value, bool | int | float | str)}
    others = {n: one for n, one in vars(scene.guider).items() if one is not scene.model and hasattr(one, "model_options")}
    return {
        **model_settings(scene.model),
        "guider": type(scene.guider).__name__,
        **plain,
        **{f"{owner}: {name}": value for owner, one in others.items() for name, value in model_settings(one).items()},
        **{name: digest(conds) for name, conds in scene.guider.original_conds.items()},
        "vae": weights(scene.vae.patcher),
        "seed": order.seed,
        "fps": order.fps,
        "width and height": f"{scene.latent[2]}x{scene.latent[1]} latent pixels",
        "noise levels": digest(torch.cat([torch.tensor([shape.last]), shape.sigmas])),
        **order.queue.settings(shape),
        "cfg by frame": str(order.schedules.cfg),
        "motion strength by frame": str(order.schedules.strength),
        "frames to go on after": digest(order.given),
    }


def _made_with(scene: Scene) -> Mapping[str, Scalar]:
    device = comfy.model_management.get_torch_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    sampled_in = scene.model.model.manual_cast_dtype or scene.model.model_dtype()
    return {
        "device": name, "precision": str(sampled_in), "VAE precision": str(getattr(scene.vae, "vae_dtype", "")),
        "attention": comfy_attention.optimized_attention.__name__, "torch": torch.__version__,
        "ComfyUI": comfyui_version.__version__,
    }  # fmt: skip
