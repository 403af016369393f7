"""Tiny random video transformers of the host's own classes, their conditioning and VAEs.

Import this only where a host is found: it imports comfy.
"""

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import comfy.model_patcher
import comfy.samplers
import comfy.supported_models as supported
import torch
from torch import Tensor

WAN: dict[str, Any] = {
    "image_model": "wan2.1", "model_type": "t2v", "dim": 48, "num_heads": 2, "ffn_dim": 96, "num_layers": 2,
    "patch_size": (1, 2, 2), "freq_dim": 32, "text_dim": 16, "window_size": (-1, -1), "qk_norm": True, "cross_attn_norm": True,
    "eps": 1e-6, "text_len": 8,
}  # fmt: skip
LTX: dict[str, Any] = {
    "image_model": "ltxv", "in_channels": 128, "cross_attention_dim": 48, "attention_head_dim": 24, "num_attention_heads": 2,
    "caption_channels": 16, "num_layers": 2, "positional_embedding_max_pos": [20, 2048, 2048],
}  # fmt: skip
COSMOS: dict[str, Any] = {
    "image_model": "cosmos_predict2", "max_img_h": 240, "max_img_w": 240, "max_frames": 128, "in_channels": 17,
    "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1, "model_channels": 48, "num_heads": 2, "num_blocks": 2,
    "concat_padding_mask": True, "crossattn_emb_channels": 16, "pos_emb_cls": "rope3d", "pos_emb_learnable": True,
    "pos_emb_interpolation": "crop", "min_fps": 1, "max_fps": 30, "use_adaln_lora": True, "adaln_lora_dim": 16,
    "rope_h_extrapolation_ratio": 1.0, "rope_w_extrapolation_ratio": 1.0, "rope_t_extrapolation_ratio": 1.0,
    "extra_per_block_abs_pos_emb": False, "rope_enable_fps_modulation": True,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int]]] = {
    "wan21": ("WAN21_T2V", {**WAN, "in_dim": 16, "out_dim": 16}, (16, 4, 6)),
    "wan22": ("WAN22_T2V", {**WAN, "in_dim": 48, "out_dim": 48}, (48, 4, 6)),
    "ltxv": ("LTXV", LTX, (128, 3, 4)),
    "cosmos": ("CosmosI2VPredict2", COSMOS, (16, 4, 6)),
}
"""Name -> (class of the host's configuration, settings of the network, c h w of a latent)."""


def model(name: str, **changed: Any) -> Any:
    cls, settings, _ = MODELS[name]
    return built(cls, {**settings, **changed})


def built(cls: str, settings: dict[str, Any]) -> Any:
    """A ModelPatcher of a configuration of the host with random weights."""
    config = getattr(supported, cls)(dict(settings))
    config.set_inference_dtype(torch.float32, None)
    base = config.get_model({}, "", device=torch.device("cpu")).eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in base.diffusion_model.parameters():
            fan = p.shape[1:].numel() if p.ndim > 1 else 0
            p.copy_(torch.randn(p.shape, generator=draw) * ((fan or 25) ** -0.5))
    return comfy.model_patcher.ModelPatcher(base, torch.device("cpu"), torch.device("cpu"))


def text(name: str, seed: int = 3, **more: Any) -> list[Any]:
    mask = {"attention_mask": torch.ones(1, 8, dtype=torch.int)} if name == "ltxv" else {}
    return [[torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(seed)), {**mask, **more}]]


def guider(name: str, patcher: Any = None, cfg: float = 3.0, **more: Any) -> Any:
    made = comfy.samplers.CFGGuider(patcher or model(name))
    made.set_conds(text(name, **more), text(name, seed=4))
    made.set_cfg(cfg)
    return made


def in_round(
    guider: Any, name: str, window: int, work: Callable[[Any], Any], schedules: Any = None, together: int = 1,
    latent: tuple[int, int, int] | None = None,
) -> Any:  # fmt: skip
    """What `work(denoiser)` returns inside a run of the guider. latent: c h w; None: the usual ones."""
    from zoetrope.hosts.comfyui.sampling.rounds import RoundRunner
    from zoetrope.sampling.queue import Schedules

    rounds = RoundRunner(
        guider, latent or MODELS[name][2], window * together, torch.tensor([1.0, 0.0]), 1, "", window, schedules or Schedules()
    )
    made: list[Any] = []

    def stream() -> Iterator[None]:
        made.append(work(rounds.live))
        yield

    with torch.inference_mode():
        rounds.run(stream())
    return made[0]


def latents(name: str, count: int, seed: int = 2) -> Tensor:
    """Random latents `(count, c, h, w)`."""
    return torch.randn(count, *MODELS[name][2], generator=torch.Generator().manual_seed(seed))


def vae(name: str) -> Any:
    """The host's Wan VAE of a model with narrow layers and random weights."""
    import comfy.ldm.wan.vae
    import comfy.ldm.wan.vae2_2
    import comfy.sd

    module, more = (comfy.ldm.wan.vae2_2, {"dec_dim": 4}) if name == "wan22" else (comfy.ldm.wan.vae, {})
    usual = module.WanVAE

    def narrow(**settings: Any) -> Any:
        return usual(**{**settings, "dim": 4, **more})

    settings = {"num_res_blocks": 2, "dim_mult": [1, 2, 4, 4], "attn_scales": [], "temperal_downsample": [False, True, True]}
    network, draw = narrow(z_dim=MODELS[name][2][0], **settings), torch.Generator().manual_seed(1)
    weights = {
        key: torch.randn(p.shape, generator=draw) * (1.5 / p[0].numel() ** 0.5) if p.ndim > 1 else 1 + 0.1 * torch.ones(p.shape)
        for key, p in network.state_dict().items()
    }
    with mock.patch.object(module, "WanVAE", narrow):
        return comfy.sd.VAE(sd=weights)
