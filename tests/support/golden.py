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

AWAITED = {
    "every family": (
        "motion_module_v1_controls*", "motion_module_hotshotxl*", "motion_module_sdxl_beta*", "unet_tiny_motion_lora*",
        "unet_tiny_domain_adapter*", "beta_schedules*", "temporal_transformer_*", "temporal_conv_block*",
        "resblock_temporal_conv*", "time_fps_embedding*", "unet_videocrafter2*", "unet_videocrafter1_t2v*",
        "unet_lvdm_short*", "ddim_videocrafter_trajectory*", "svd_*", "modelscope_*", "lavie_base_*",
        "lavie_temporal_attention*",
    ),
    "endless shot": ("context_windows*", "fifo_*", "unet_per_frame_timesteps*"),
    "video VAE": ("lvdm_autoencoder3d*", "vae_*", "uav_vae_*", "uav_temporal_module_vae*"),
    "image to video": (
        "motion_module_sparsectrl*", "unet_tiny_pia*", "unet_tiny_sparsectrl_*", "dual_cross_attention*",
        "spatial_transformer_dual*", "image_proj_*", "dynamicrafter_resampler*", "unet_videocrafter1_i2v*",
        "unet_dynamicrafter_*", "ddim_v_zero_snr_trajectory*", "schedules_dynamicrafter*", "ip_adapter_*", "seine_unet*",
    ),
    "temporal super-resolution": (
        "lavie_interp_*", "lavie_vsr_*", "uav_block_*", "uav_propagation*", "uav_temporal_module*", "uav_unet*",
        "uav_windows*", "x4_lowres_noise*", "color_fix*",
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
    """pytest parameters (file, name of an output) for the whole UNets that the pack's families reproduce by now.

    Claims the files that a case draws weights from as well. Outputs of later work are listed here until it is done.
    """
    later = ("out.v1", "out.nomotion_clipnorm", "*.motion_lora_*", "*.domain_adapter_*", "*.diffusers_clip_norm")
    parameters = []
    CLAIMED.update(("unet_tiny_spatial_ldm*", "unet_tiny_motion*", "unet_tiny_names*"))
    for parameter in claim("unet_tiny_cases*"):
        if parameter.values[0] is None:
            return [pytest.param(None, "", id="none", marks=parameter.marks)]
        with safe_open(parameter.values[0], framework="pt") as file:
            outputs = [key for key in file.keys() if key.startswith("out.")]  # noqa: SIM118
        for name in outputs:
            if not any(fnmatchcase(name, pattern) for pattern in later):
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

    @property
    def frames(self) -> int:
        return self.output.shape[2]


def unet_case(path: Path, name: str) -> UNetCase:
    """Reads one case, with what it needs from the other files of its folder."""
    cases, _ = read(path)
    spatial, header = read(sibling(path, "cases", "spatial_ldm"))
    motion, _ = read(sibling(path, "cases", "motion"))
    variant = name.split(".")[1]
    output = cases[name]
    frames = output.shape[2]
    shared = repeat(cases["timestep"], "b -> (b f)", f=frames)
    return UNetCase(
        output=output,
        sample=rearrange(cases["sample"][:, :, :frames], "b c f h w -> (b f) c h w"),
        timesteps=cases["timestep_per_frame"].flatten() if name.endswith("per_frame_timestep") else shared,
        context=repeat(cases["encoder_hidden_states"], "b n d -> (b f) n d", f=frames),
        motion={
            k: v for k, v in motion.items() if variant != "nomotion" and (variant == "v2" or not k.startswith("mid_block."))
        },
        spatial=spatial,
        layout=config(header),
    )


def sibling(path: Path, old: str, new: str, suffix: str = ".safetensors") -> Path:
    """The file in the same folder that holds what this one needs, under the name with `old` replaced, else any like `new`."""
    exact = path.with_name(path.stem.replace(old, new) + suffix)
    return exact if exact.is_file() else next(p for p in sorted(path.parent.glob(f"*{new}*{suffix}")))


def config(header: dict[str, str]) -> dict[str, Any]:
    """The constructor arguments recorded in a header."""
    return json.loads(header["config"])
