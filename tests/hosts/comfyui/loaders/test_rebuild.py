"""Newer hosts make networks anew (force_deepcopy, other devices, Train LoRA): every patcher that we build says how."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


def patchers(tiny: Any, folder: Path) -> dict[str, Any]:
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.loaders.demo_upscaler import load_upscaler_demo

    demo, upscaler = load_demo(), load_upscaler_demo()
    motion = tiny.applied(demo.model, demo.motion)
    own = tiny.own_file(tiny.model(), folder / "m.safetensors", seed=1)
    return {
        "demo": demo.model, "demo with motion": motion, "motion": demo.motion.patcher, "motion file": own.patcher,
        "projector": demo.projector.patcher, "keys": demo.projector.keys, "text": demo.clip.patcher, "vae": demo.vae.patcher,
        "temporal vae": demo.temporal_vae.patcher, "upscaler": upscaler.model, "upscaler's vae": upscaler.vae.patcher,
    }  # fmt: skip


def test_every_network_can_be_made_anew(tiny: Any, tmp_path: Path) -> None:
    for name, patcher in patchers(tiny, tmp_path).items():
        if not hasattr(patcher, "cached_patcher_init"):
            pytest.skip("this ComfyUI makes no network anew")
        for made in (patcher.clone(force_deepcopy=True), patcher.deepclone_multigpu()):
            assert made.model is not patcher.model, name
            expected, found = patcher.model.state_dict(), made.model.state_dict()
            assert expected.keys() == found.keys(), name
            assert all(torch.equal(expected[key], found[key]) for key in expected), name
        plain = patcher.cached_patcher_init[0](*patcher.cached_patcher_init[1], disable_dynamic=True)
        assert not plain.is_dynamic(), name


def test_a_model_made_anew_gives_the_same_frames(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.loaders.demo import load_demo

    demo = load_demo()
    model = tiny.applied(demo.model, demo.motion)
    if not hasattr(model, "cached_patcher_init"):
        pytest.skip("this ComfyUI makes no network anew")
    prompt = [demo.clip.encode_from_tokens_scheduled(demo.clip.tokenize(said)) for said in ("a red square on black", "")]
    expected = tiny.sample(model, steps=1, positive=prompt[0], negative=prompt[1])
    for made in (model.clone(force_deepcopy=True), model.deepclone_multigpu()):
        assert torch.allclose(tiny.sample(made, steps=1, positive=prompt[0], negative=prompt[1]), expected, atol=1e-5)
    tiny.unload()


def test_the_parts_of_a_whole_checkpoint_can_be_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui.loaders import checkpoint
    from zoetrope.hosts.comfyui.loaders.demo import load_demo

    def guessed(weights: dict[str, Any], path: str, disable_dynamic: bool = False) -> tuple[Any, Any, Any]:
        read.append((path, sorted(weights)))
        demo = load_demo()
        return demo.model, demo.clip, demo.vae

    read: list[Any] = []
    monkeypatch.setattr(checkpoint, "_load_with_host", guessed)
    model, clip, vae = checkpoint.through_the_host(
        lambda path: dict.fromkeys(checkpoint.PREFIXES.values(), torch.zeros(0)), "a.safetensors"
    )
    for patcher in (model, clip.patcher, vae.patcher):
        if not hasattr(patcher, "cached_patcher_init"):
            pytest.skip("this ComfyUI makes no network anew")
        load, arguments, *_ = patcher.cached_patcher_init
        made = load(*arguments, disable_dynamic=True)
        assert type(made.model) is type(patcher.model)
        assert made.model is not patcher.model
    parts = [[checkpoint.PREFIXES[name] for name in checkpoint.PARTS[part]] for part in ("model", "clip", "vae")]
    whole = [*checkpoint.PREFIXES.values()]
    assert read == [("a.safetensors", sorted(keys)) for keys in (whole, *parts)]  # each part reads what it is made of
