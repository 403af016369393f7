"""torch.compile and hooks: what was compiled first does not decide what the next run gives (backend `eager`, no compiler)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import randomise
from torch import Tensor, nn

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def _compiled_nothing() -> Iterator[None]:
    import torch._dynamo

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Attention(nn.Module):
    """One class for two places; the break splits its method in two, as the host's attention functions do."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        q = self.to_q(x)
        torch._dynamo.graph_break()
        return self.to_out(q)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(), Attention()

    def forward(self, x: Tensor) -> Tensor:
        return self.attn2(self.attn1(x))


@torch.inference_mode()
def test_hooks_of_one_module_of_a_class_act_whatever_was_compiled_before() -> None:
    from zoetrope.hosts.comfyui.compiled import hooks_enabled

    block, x = randomise(Block(), 1).eval(), torch.ones(2, 4)
    compiled: Any = torch.compile(block, backend="eager")

    def hooked(network: Any) -> Tensor:
        handle = block.attn2.to_out.register_forward_hook(lambda module, args, output: output + 1)
        try:
            with hooks_enabled(compiled, {}):
                return network(x)
        finally:
            handle.remove()

    plain = block(x)
    for _ in range(2):
        assert torch.allclose(compiled(x), plain)
        assert torch.allclose(hooked(compiled), plain + 1)


@pytest.mark.slow
def test_an_image_prompt_acts_on_a_model_that_was_compiled_without(tiny: Any, tmp_path: Path) -> None:
    from other_nodes import compiled

    base = tiny.model()
    vision, projector = tiny.vision(tmp_path), tiny.projector(base)
    prompted = tiny.prompted(base, projector, vision, tiny.picture())

    def sampled(model: Any) -> Any:
        out = tiny.sample(model, 1, steps=1)
        tiny.unload()
        return out

    plain, expected = sampled(base), sampled(prompted)
    for _ in range(2):
        assert torch.allclose(sampled(compiled(base)), plain, atol=1e-4)
        assert torch.allclose(sampled(compiled(prompted)), expected, atol=1e-4)
    assert not torch.allclose(plain, expected, atol=1e-2)


@pytest.mark.slow
def test_a_lora_by_frame_acts_on_a_compiled_model(tiny: Any, tmp_path: Path) -> None:
    import tiny_loras
    from other_nodes import compiled

    base = tiny.model()
    path = tiny_loras.saved(tiny_loras.random_lora(base, only="attn1"), tmp_path)
    plain = tiny.sample(base, steps=1)
    for strength in (0.7, tiny_loras.ramp(0.0, 0.25, 0.5, 1.0)):
        model = tiny_loras.by_frame(base, path, strength)
        expected = tiny.sample(model, steps=1)
        assert torch.allclose(tiny.sample(compiled(model), steps=1), expected, atol=1e-4)
        assert not torch.allclose(plain, expected, atol=1e-2)
    tiny.unload()


def test_torchs_setting_is_put_back() -> None:
    import torch._dynamo
    from zoetrope.hosts.comfyui.compiled import hooks_enabled

    config: Any = torch._dynamo.config
    before = config.skip_nnmodule_hook_guards
    with hooks_enabled(nn.Linear(1, 1), {}):
        assert not config.skip_nnmodule_hook_guards
    assert config.skip_nnmodule_hook_guards == before


def test_a_model_that_is_not_compiled_is_none_of_it() -> None:
    from zoetrope.hosts.comfyui.compiled import is_compiled

    assert not is_compiled(Block(), {})
    assert is_compiled(Block(), {"wrappers": {"apply_model": {"torch.compile": []}}})
    assert is_compiled(nn.Sequential(torch.compile(Block(), backend="eager")), {})  # type: ignore[arg-type]
