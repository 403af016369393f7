"""A MODEL, its conditions and a VAE as the host of a live shot."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import comfy.model_management
import torch
from einops import rearrange
from torch import Tensor

from ....sampling.live import LiveLayout
from ....sampling.timeline import Cue
from ....shots.live.record import PromptFrom
from ..conditioning.per_frame import CUE, TimelinePart
from ..sampling.guider import enough_memory
from ..sampling.rounds import RoundRunner
from ..shot.decoder import ShotDecoder
from ..shot.inputs import ShotInputs
from ..vae.chunked import check_frame_by_frame, sees_time
from .guider import LiveGuider

log = logging.getLogger(__name__)

REMEDY = "levels, block or context, then width and height"


class ComfyLive(ShotDecoder):
    """Implements `shots.live.host.LiveHost`.

    The guider is entered once for each set of prompts. Where memory does not suffice for the model and the VAE together, the
    host moves the model away while the VAE works; the guider is then entered again, which is slower and changes no bit.
    clip   text encoder for prompts that are set while the shot runs; None: they are refused
    Raises ValueError for a VAE that processes several frames together.
    """

    concurrent = False

    def __init__(self, inputs: ShotInputs, layout: LiveLayout, sigmas: Tensor, seed: int, clip: Any = None):
        if not isinstance(inputs.guider, LiveGuider):
            raise TypeError("a live shot needs a LiveGuider")
        check_frame_by_frame(inputs.vae, "live shot")
        if sees_time(inputs.vae):
            raise ValueError(
                "vae: a temporal VAE decodes a frame with later ones, which a live shot does not have yet; connect the VAE of "
                "the checkpoint, or TAESD"
            )
        super().__init__(inputs)
        self.device = comfy.model_management.get_torch_device()
        self._guider, self._clip = inputs.guider, clip
        self._first, self._negative = inputs.guider.original_conds["positive"], inputs.guider.original_conds["negative"]
        self._texts: dict[str, Any] = {}
        self._runner = RoundRunner(inputs.guider, inputs.latent, layout.rows, sigmas, seed, REMEDY)

    def positive(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return self._predicted("positive", x, sigma, frame)

    def negative(self, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return self._predicted("negative", x, sigma, frame)

    def _predicted(self, half: str, x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        self._guider.half = half
        return self._runner.live(x, sigma, frame).float()

    def encode(self, pictures: Tensor) -> Tensor:
        """Encodes pictures `(n, 3, h, w)` to latents in the sampler's scale, float32 on the CPU."""
        with enough_memory("encoding a block", "width and height, or run the VAE on the CPU (--cpu-vae)"):
            latents = self._inputs.vae.encode(rearrange(pictures, "n c h w -> n h w c"))
        if latents.ndim == 5:
            latents = rearrange(latents, "1 c n h w -> n c h w")
        return self._inputs.model.model.process_latent_in(latents.float()).cpu()

    def check_prompt(self, prompt: str) -> None:
        """Encodes a prompt. Raises ValueError without a text encoder, and for conditions that it cannot replace."""
        if self._clip is None:
            raise ValueError("prompt: connect clip, the text encoder of the checkpoint, so that the prompt can be changed")
        if len(self._first) != 1 or CUE in self._first[0]:
            raise ValueError(
                "prompt: it can be changed while the shot runs if positive is one prompt, without a timeline or regions"
            )
        if prompt not in self._texts:
            self._texts = dict(list(self._texts.items())[-7:])
            self._texts[prompt] = self._clip.encode_from_tokens_scheduled(self._clip.tokenize(prompt))[0]

    @property
    def leaving(self) -> bool:
        """Whether the guider has to be entered again, because the host has moved the model away."""
        loaded = comfy.model_management.current_loaded_models
        return not any(getattr(one.model, "model", None) is self._inputs.model.model for one in loaded)

    def prompts(self, prompts: Sequence[PromptFrom]) -> None:
        changed = any(one.text is not None for one in prompts)
        positive = self._with_texts(prompts) if changed else self._given(self._first)
        self._guider.set_conds(positive, self._given(self._negative))

    def _with_texts(self, prompts: Sequence[PromptFrom]) -> list[Any]:
        """One condition per prompt: the given one with another text, for the frames of the prompt."""
        cues, conditions = tuple(Cue(one.frame, one.text or "", 0) for one in prompts), []
        for index, one in enumerate(prompts):
            [(tensor, attributes)] = self._given(self._first)
            if one.text is not None:
                self.check_prompt(one.text)
                tensor, more = self._texts[one.text]
                attributes = {**attributes, **more}
            part = {CUE: TimelinePart(cues, index)} if len(cues) > 1 else {}
            conditions.append([tensor, {**attributes, **part}])
        return conditions

    @staticmethod
    def _given(conditions: Sequence[Any]) -> list[Any]:
        """Conditions of a guider as CONDITIONING: the host stores the tensor among the attributes."""
        return [
            [one.get("cross_attn"), {k: v for k, v in one.items() if k not in ("cross_attn", "uuid")}] for one in conditions
        ]

    def rounds(self, streams: Iterator[Iterator[object]]) -> Iterator[None]:
        for steps in streams:
            self._runner.run(self._watched(steps))
            yield

    def _watched(self, steps: Iterator[object]) -> Iterator[object]:
        for step in steps:
            comfy.model_management.throw_exception_if_processing_interrupted()
            yield step


def table_of(model: Any) -> Tensor:
    """Noise levels of a MODEL, cleanest first. Raises ValueError for one without a table."""
    table = getattr(model.get_model_object("model_sampling"), "sigmas", None)
    if not isinstance(table, torch.Tensor):
        raise ValueError("this MODEL has no table of noise levels; connect sigmas (from a scheduler node)")
    return table.float().cpu()
