"""Core's nodes that patch a MODEL, as functions of a MODEL, with settings that act on the tiny UNet.

Import this only where a host is found: it imports the host's nodes.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

Patch = Callable[[Any], Any]
NEWER = {"freenoise": False}
"""Inputs that newer hosts have as well."""


def node(module: str, name: str, model: Any, **settings: Any) -> Any:
    """A node of `comfy_extras` applied to a MODEL, whichever way it is written."""
    made = getattr(importlib.import_module(f"comfy_extras.{module}"), name)
    run = getattr(made(), made.FUNCTION) if "FUNCTION" in vars(made) or not hasattr(made, "execute") else made.execute
    known = inspect.signature(run).parameters
    out = run(model, **settings, **{name: value for name, value in NEWER.items() if name in known})
    return out.args[0] if hasattr(out, "args") else out[0]


def compiled(model: Any) -> Any:
    """TorchCompileModel without a compiler."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    patched = model.clone()
    set_torch_compile_wrapper(patched, backend="eager")
    return patched


ATTENTION = {"q": 1.1, "k": 1.0, "v": 1.0, "out": 1.0}


def _of(module: str, name: str, **settings: Any) -> Patch:
    return lambda model: node(module, name, model, **settings)


SHRINK = {
    "block_number": 1, "downscale_factor": 2.0, "start_percent": 0.0, "end_percent": 0.9, "downscale_after_skip": True,
    "downscale_method": "bicubic", "upscale_method": "bicubic",
}  # fmt: skip
CACHE = {"reuse_threshold": 0.9, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
WINDOWS = {
    "context_length": 4, "context_overlap": 2, "context_schedule": "standard_static", "context_stride": 1, "closed_loop": False,
    "fuse_method": "pyramid", "dim": 0,
}  # fmt: skip
FREE = {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}

PATCHES: dict[str, Patch] = {
    "Self-Attention Guidance": _of("nodes_sag", "SelfAttentionGuidance", scale=0.5, blur_sigma=2.0),
    "Perturbed-Attention Guidance": _of("nodes_pag", "PerturbedAttentionGuidance", scale=3.0),
    "CFG-Zero*": _of("nodes_cfg", "CFGZeroStar"),
    "CFG Norm": _of("nodes_cfg", "CFGNorm", strength=0.9),
    "Skip Layer Guidance": _of("nodes_slg", "SkipLayerGuidanceDiT", scale=3.0, start_percent=0.0, end_percent=1.0),
    "RescaleCFG": _of("nodes_model_advanced", "RescaleCFG", multiplier=0.7),
    "Tangential Damping CFG": _of("nodes_tcfg", "TCFG"),
    "Adaptive Projected Guidance": _of("nodes_apg", "APG", eta=0.5, norm_threshold=5.0, momentum=-0.5),
    "Mahiro": _of("nodes_mahiro", "Mahiro"),
    "Epsilon Scaling": _of("nodes_eps", "EpsilonScaling", scaling_factor=1.05),
    "FreSca": _of("nodes_fresca", "FreSca", scale_low=1.0, scale_high=1.25, freq_cutoff=2),
    "FreeU": _of("nodes_freelunch", "FreeU", **FREE),
    "FreeU V2": _of("nodes_freelunch", "FreeU_V2", **FREE),
    "HyperTile": _of("nodes_hypertile", "HyperTile", tile_size=32, swap_size=1, max_depth=0, scale_depth=False),
    "Token Merging": _of("nodes_tomesd", "TomePatchModel", ratio=0.3),
    "Deep Shrink": _of("nodes_model_downscale", "PatchModelAddDownscale", **SHRINK),
    "UNet Self-Attention Multiply": _of("nodes_attention_multiply", "UNetSelfAttentionMultiply", **ATTENTION),
    "UNet Cross-Attention Multiply": _of("nodes_attention_multiply", "UNetCrossAttentionMultiply", **ATTENTION),
    "Differential Diffusion": _of("nodes_differential_diffusion", "DifferentialDiffusion", strength=1.0),
    "EasyCache": _of("nodes_easycache", "EasyCacheNode", **CACHE),
    "LazyCache": _of("nodes_easycache", "LazyCacheNode", **CACHE),
    "TorchCompileModel": compiled,
    "ModelSamplingDiscrete (v)": _of("nodes_model_advanced", "ModelSamplingDiscrete", sampling="v_prediction", zsnr=False),
    "ModelSamplingDiscrete (lcm)": _of("nodes_model_advanced", "ModelSamplingDiscrete", sampling="lcm", zsnr=False),
    "ModelSamplingDiscrete (x0)": _of("nodes_model_advanced", "ModelSamplingDiscrete", sampling="x0", zsnr=False),
    "ModelSamplingContinuousEDM": _of(
        "nodes_model_advanced", "ModelSamplingContinuousEDM", sampling="edm", sigma_max=120.0, sigma_min=0.002
    ),
    "ModelSamplingContinuousV": _of(
        "nodes_model_advanced", "ModelSamplingContinuousV", sampling="v_prediction", sigma_max=500.0, sigma_min=0.03
    ),
    "ModelSamplingSD3 (flow)": _of("nodes_model_advanced", "ModelSamplingSD3", shift=3.0),
    "Context Windows": _of("nodes_context_windows", "ContextWindowsManualNode", **WINDOWS),
}  # fmt: skip
