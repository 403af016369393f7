"""Prompts by frame in Wan, and by window in the other video transformers."""

from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host
WINDOW = 5
CUT = "0: red / 9: blue"
"""Latent 3 begins at frame 9 with 4 frames per latent, latent 2 at frame 9 with 8."""


def made(dits: Any, name: str, text: str, apart: bool, together: int = 1) -> Tensor:
    """Clean predictions with a prompt timeline. apart: without self-attention, so that frames do not change each other."""
    from zoetrope.hosts.comfyui.conditioning.timeline import encode_timeline
    from zoetrope.sampling.timeline import read_timeline

    class Words:
        def tokenize(self, text: str) -> str:
            return text

        def encode_from_tokens_scheduled(self, tokens: str) -> list[Any]:
            return dits.text(name, seed=len(tokens))

    patcher = dits.model(name)
    if apart:
        for block in patcher.model.diffusion_model.blocks:
            torch.nn.init.zeros_(block.self_attn.o.weight)
            torch.nn.init.zeros_(block.self_attn.o.bias)
    guider = dits.guider(name, patcher)
    guider.set_conds(encode_timeline(Words(), read_timeline(text, "text"), 16), dits.text(name, 9))
    x, levels = dits.latents(name, WINDOW * together), torch.linspace(0.2, 1, WINDOW * together)
    frames = torch.arange(WINDOW).repeat(together)
    return dits.in_round(guider, name, WINDOW, lambda live: live(x, levels, frames), together=together)


@pytest.mark.parametrize("name", ["wan21", "wan22"])
def test_each_frame_has_its_own_prompt(dits: Any, name: str) -> None:
    red, blue, both = (made(dits, name, text, apart=True) for text in ("red", "blue", CUT))
    assert torch.allclose(both[:3], red[:3], atol=1e-5)
    assert torch.allclose(both[3:], blue[3:], atol=1e-5)
    assert (red - blue).abs().mean() > 1e-2


@pytest.mark.one_host
def test_windows_of_a_call_and_cross_fades(dits: Any) -> None:
    alone, twice = made(dits, "wan21", CUT, apart=True), made(dits, "wan21", CUT, apart=True, together=2)
    assert twice.shape[0] == 2 * WINDOW
    levels_of_the_first = made(dits, "wan21", "0: red / 1: red", apart=True, together=2)
    assert torch.allclose(levels_of_the_first[:3], twice[:3], atol=1e-5)
    faded = made(dits, "wan21", "0: red / 1: blue ~12", apart=True)
    red, blue = (made(dits, "wan21", text, apart=True) for text in ("red", "blue"))
    assert (faded[2] - red[2]).abs().mean() > 1e-3
    assert (faded[2] - blue[2]).abs().mean() > 1e-3
    assert alone.shape == faded.shape


@pytest.mark.one_host
def test_one_prompt_uses_no_hooks_and_none_stay(dits: Any, tiny: Any) -> None:
    patcher = dits.model("wan21")
    calls: list[int] = []
    patcher.model.diffusion_model.blocks[0].cross_attn.register_forward_hook(
        lambda module, args, out: calls.append(len(module._forward_pre_hooks))
    )
    x = dits.latents("wan21", WINDOW)
    dits.in_round(
        dits.guider("wan21", patcher), "wan21", WINDOW,
        lambda live: live(x, torch.linspace(0.2, 1, WINDOW), torch.arange(WINDOW)),
    )  # fmt: skip
    assert calls
    assert set(calls) == {0}
    before = tiny.hooks_in(patcher)
    made(dits, "wan21", CUT, apart=False)
    assert tiny.hooks_in(patcher) == before


@pytest.mark.one_host
def test_other_models_have_one_prompt_per_window(dits: Any) -> None:
    """That of the middle frame."""
    red, blue, both = (made(dits, "ltxv", text, apart=False) for text in ("red", "blue", CUT))
    assert torch.equal(both, blue), "latent 2 begins at frame 9"
    assert not torch.allclose(both, red, atol=1e-3)
