"""Video transformers (DiTs) by their class: those that take a noise level per latent frame, and why others do not.

Facts: ComfyUI 0.3.64 and 0.25.0 (`comfy/model_base.py`, `comfy/ldm/wan`, `lightricks`, `cosmos`), and the models' papers: Wan
(arXiv 2503.20314), LTX-Video (arXiv 2501.00103), Cosmos-Predict2. Frames of a queue have different levels, which needs a
network whose modulation has a row per frame or per token.
"""

from dataclasses import dataclass
from math import prod

from torch import Tensor


@dataclass(frozen=True)
class VideoDit:
    """A video transformer that takes a noise level per latent frame."""

    name: str
    each: int
    """Frames per latent after the first one, which is a single frame."""
    window: int
    """Latents per clip in training."""
    steps: int
    """Usual number of sampling steps."""
    per_token: bool = False
    """Whether the network takes a level per token `(b, f h w)` instead of per frame `(b, f)`."""
    clean_frames: bool = False
    """Whether it was trained with given frames at level 0 beside noisy ones."""
    frame_prompts: bool = False
    """Whether its blocks have a `cross_attn(x, context)` on tokens `b (f n) d`, so that each frame can have its own prompt."""
    marks_given: bool = False
    """Whether its input has a channel after the latent's, which is 1 in given frames."""

    def levels_input(self, levels: Tensor, size: tuple[int, int]) -> Tensor:
        """Timesteps `(b, f)` in the shape that the network takes. size: h w of a latent."""
        return levels.repeat_interleave(prod(size), 1) if self.per_token else levels


DITS: dict[tuple[str, str], VideoDit] = {
    ("WAN21", "WanModel"): VideoDit("Wan text to video", 4, 21, 30, frame_prompts=True),
    ("WAN22", "WanModel"): VideoDit("Wan 2.2 5B", 4, 31, 30, clean_frames=True, frame_prompts=True),
    ("LTXV", "LTXVModel"): VideoDit("LTX-Video", 8, 13, 30, per_token=True, clean_frames=True),
    ("CosmosPredict2", "MiniTrainDIT"): VideoDit(
        "Cosmos Predict2 Video2World", 4, 24, 35, clean_frames=True, marks_given=True
    ),
}  # fmt: skip
"""(Class of the model, class of its network) in the host -> facts."""

WHAT_WORKS = (
    "Models that work: Wan 2.1 and 2.2 text to video, Wan 2.2 5B, LTX-Video, Cosmos Predict2 Video2World, and Stable Diffusion "
    "with a motion module"
)
_ONE_LEVEL = "its network takes one noise level per clip, but the frames of a long shot have different ones"
CLIP_CONDITIONS = "its conditions are bound to the frames of one clip, and the windows of a long shot are not"

REFUSED: dict[str, str] = {
    "WAN21_Vace": f"{_ONE_LEVEL}. Use the Wan 2.1 text-to-video model of the same size",
    "WAN21_Camera": f"{_ONE_LEVEL}. Use the Wan 2.1 text-to-video model of the same size",
    "WAN21_CausalAR": "it generates block after block with a cache. Use core's sampler for it, or Wan 2.1 text to video",
    "WAN21_HuMo": f"{CLIP_CONDITIONS}. Use Wan 2.1 text to video",
    "WAN22_S2V": f"{CLIP_CONDITIONS}. Use Wan 2.1 text to video",
    "WAN22_Animate": f"{CLIP_CONDITIONS}. Use Wan 2.1 text to video",
    "LTXAV": (
        "it generates picture and sound together, and the sound's noise levels are not supported. Use LTX-Video (0.9), or make "
        "the sound afterwards"
    ),
    "CosmosVideo": f"{_ONE_LEVEL}. Use Cosmos Predict2 Video2World",
    "CogVideoX": f"{_ONE_LEVEL}. Use Wan 2.1 text to video, whose 1.3B model is of about the same size",
    "GenmoMochi": f"{_ONE_LEVEL}. Use Wan 2.1 text to video",
    "HunyuanVideo": f"{_ONE_LEVEL}. Use Wan 2.1 text to video",
}
"""Class of a model in the host -> why it cannot make a long shot, and what can; subclasses have the same reason."""

NEEDS_PICTURE = (
    "it needs a picture at the head of every clip, which only the first window of a long shot has. Use Wan 2.2 5B or "
    "LTX-Video, which take first frames in the latent, or a text-to-video model"
)
IMAGES_ONLY = "it was trained on single pictures. Use Cosmos Predict2 Video2World"
UNKNOWN = "it is not one of the video models whose networks are known to take a noise level per frame"


def refusal(model: str, reason: str) -> ValueError:
    """The error for a model of this class name."""
    return ValueError(f"model: {model} cannot make a long shot: {reason}. {WHAT_WORKS}.")
