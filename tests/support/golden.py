"""Golden files: tensors that the original implementations computed. Found by pattern; everything is read from the file.

They are looked for in $GOLDEN_DIR (default: `shared/golden` beside the checkout, where it stands) and always in
`tests/golden/data`. A pattern without a file is no failure; a file that no test claims is one (tests/golden/test_claims.py).
"""

import json
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import torch
from einops import rearrange, repeat
from safetensors import safe_open
from torch import Tensor

ROOT = Path(__file__).parents[2]
CLAIMED: set[str] = set()

AWAITED: dict[str, tuple[str, ...]] = {
    "live shot, one-step models": ("pix2pix_turbo_vae",),
    "not planned: the published guidance uses noise of another frame": (
        "streambatch_1step_self*", "streambatch_1step_initialize", "streambatch_*_still",
    ),
    "film restoration, after the first families": ("stablesr_*", "mgld_*"),
    "regions and metrics": ("peekaboo",),
    "not planned: the smooth background of this release cannot run": ("t2vzero_motion_smooth_bg",),
    "not planned: to be built when somebody needs them": (
        "rerender_fidelity", "rerender_blend", "tokenflow_*", "fresco_attention", "freelong_blend", "ouroboros_guided_step*",
        "ouroboros_sacfa",
    ),
}  # fmt: skip
"""Patterns of files whose code comes with a later piece of work. A pattern leaves this table when a test claims it."""


def folders() -> list[Path]:
    """Where golden files lie on this machine."""
    given = os.environ.get("GOLDEN_DIR")
    beside = ROOT.parent / "shared" / "golden"
    chosen = [Path(given)] if given else [beside] if beside.is_dir() else []
    return [*chosen, ROOT / "tests" / "golden" / "data"]


def all_files() -> list[Path]:
    """Every golden file; one that lies in two folders counts once per folder."""
    return sorted(p for folder in folders() for p in folder.rglob("*") if p.suffix in {".safetensors", ".json"})


def claim(*patterns: str, unless: tuple[str, ...] = ()) -> list[Any]:
    """pytest parameters, one per file whose stem matches a pattern and none of `unless`; marks the patterns as tested."""
    CLAIMED.update(patterns)
    return borrow(*patterns, unless=unless)


def borrow(*patterns: str, unless: tuple[str, ...] = ()) -> list[Any]:
    """As `claim`, for tests of a part of what a file shows; the file still awaits the test that claims the whole."""
    found = [p for p in all_files() if matches(p, patterns) and not matches(p, unless)]
    if not found:
        reason = f"no golden file matches {', '.join(patterns)} here"
        return [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(p, id=f"{p.parent.name}/{p.stem}") for p in found]


def matches(path: Path, patterns: Any) -> bool:
    return any(fnmatchcase(path.stem, pattern) for pattern in patterns)


def awaited(path: Path) -> str | None:
    """Which later piece of work brings the code for this file."""
    return next((work for work, patterns in AWAITED.items() if matches(path, patterns)), None)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (half precision cast up, as the references ran in float32) and the header's text."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        header = file.metadata() or {}
    return {k: v.float() if v.dtype in (torch.float16, torch.bfloat16) else v for k, v in tensors.items()}, header


def unet_cases() -> list[Any]:
    """pytest parameters (file, name of an output) for whole UNets with AnimateDiff's modules.

    Claims the files that a case draws weights from as well. Outputs that document another library's difference are no target.
    """
    no_target = ("*.diffusers_clip_norm",)
    parameters = []
    CLAIMED.update(("unet_tiny_spatial_ldm*", "unet_tiny_motion*", "unet_tiny_names*", "unet_tiny_domain_adapter*"))
    for parameter in claim("unet_tiny_cases*"):
        if parameter.values[0] is None:
            return [pytest.param(None, "", id="none", marks=parameter.marks)]
        with safe_open(parameter.values[0], framework="pt") as file:
            outputs = [key for key in file.keys() if key.startswith("out.")]  # noqa: SIM118
        for name in outputs:
            if not any(fnmatchcase(name, pattern) for pattern in no_target):
                parameters.append(pytest.param(parameter.values[0], name, id=f"{parameter.id}-{name}"))
    return parameters


@dataclass(frozen=True)
class UNetCase:
    """A whole UNet's inputs and one output of the reference."""

    output: Tensor
    """`b c f h w`"""
    sample: Tensor
    """`(b f) c h w`"""
    timesteps: Tensor
    """`(b f)`"""
    context: Tensor
    """`(b f) n d`"""
    motion: dict[str, Tensor]
    """Weights in published spelling; empty where the case has no motion module."""
    spatial: dict[str, Tensor]
    """The UNet's weights in LDM spelling."""
    layout: dict[str, Any]
    lora: dict[str, Tensor]
    """A LoRA in published spelling, for the motion module or (domain adapter) for the UNet; empty where the case has none."""
    lora_strength: float
    clip_norms: bool
    """Whether the reference's residual and last norms span the clip."""

    @property
    def frames(self) -> int:
        return self.output.shape[2]


def unet_case(path: Path, name: str) -> UNetCase:
    """Reads one case, with what it needs from the other files of its folder."""
    cases, _ = read(path)
    spatial, header = read(sibling(path, "cases", "spatial_ldm"))
    _, variant, *extra = name.split(".", 2)
    output = cases[name]
    frames = output.shape[2]
    shared = repeat(cases["timestep"], "b -> (b f)", f=frames)
    kind, _, strength = extra[0].rpartition("_") if extra else ("", "", "")
    lora = read(sibling(path, "cases", kind))[0] if kind in ("motion_lora", "domain_adapter") else {}
    return UNetCase(
        output=output,
        sample=rearrange(cases["sample"][:, :, :frames], "b c f h w -> (b f) c h w"),
        timesteps=cases["timestep_per_frame"].flatten() if name.endswith("per_frame_timestep") else shared,
        context=repeat(cases["encoder_hidden_states"], "b n d -> (b f) n d", f=frames),
        motion=member_weights(path, variant),
        spatial=spatial,
        layout=config(header),
        lora=lora,
        lora_strength=float(strength) if lora else 0.0,
        clip_norms=variant in ("v1", "nomotion_clipnorm"),
    )


def member_weights(path: Path, variant: str) -> dict[str, Tensor]:
    """The motion weights as a file of this member has them: the mid block in v2 only, tables of 24 in v1."""
    if variant.startswith("nomotion"):
        return {}
    motion, _ = read(sibling(path, "cases", "motion"))
    kept = {key: value for key, value in motion.items() if variant == "v2" or not key.startswith("mid_block.")}
    return {key: value[:, :24] if variant == "v1" and key.endswith(".pe") else value for key, value in kept.items()}


def norms_alone(case: UNetCase) -> tuple[Any, Any]:
    """A motion module without layers, whose only effect is that norms span the clip."""
    from types import SimpleNamespace

    from zoetrope.models.backbones.places import RESIDUAL_AND_LAST
    from zoetrope.models.motion.module import MotionModule

    module = MotionModule({}, None, RESIDUAL_AND_LAST).requires_grad_(False)
    variant = SimpleNamespace(frames=case.frames, schedule=None, notes=())
    return module, SimpleNamespace(file="none", fits=(), variant=variant)


def sibling(path: Path, old: str, new: str, suffix: str = ".safetensors") -> Path:
    """The file in the same folder that holds what this one needs, under the name with `old` replaced, else any like `new`."""
    exact = path.with_name(path.stem.replace(old, new) + suffix)
    return exact if exact.is_file() else next(p for p in sorted(path.parent.glob(f"*{new}*{suffix}")))


def config(header: dict[str, str]) -> dict[str, Any]:
    """The constructor arguments recorded in a header."""
    return json.loads(header["config"])
