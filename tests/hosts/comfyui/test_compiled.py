"""TorchCompileModel: what was compiled first does not decide what the next run gives (backend `eager`: no compiler needed)."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


def test_an_image_prompt_acts_on_a_model_that_was_compiled_without(tiny: Any, tmp_path: Path) -> None:
    import torch._dynamo
    from other_nodes import compiled

    torch._dynamo.reset()
    base = tiny.model()
    vision, projector = tiny.vision(tmp_path), tiny.projector(base)
    prompted = tiny.prompted(base, projector, vision, tiny.picture())

    def sampled(model: Any) -> Any:
        out = tiny.sample(model, 1, steps=1)
        tiny.unload()
        return out

    plain, expected = sampled(base), sampled(prompted)
    assert torch.allclose(sampled(compiled(base)), plain, atol=1e-4)
    assert torch.allclose(sampled(compiled(prompted)), expected, atol=1e-4)
    assert torch.allclose(sampled(compiled(base)), plain, atol=1e-4)
    assert torch.allclose(sampled(compiled(prompted)), expected, atol=1e-4)
    assert not torch.allclose(plain, expected, atol=1e-2)
    torch._dynamo.reset()


def test_torchs_setting_is_put_back() -> None:
    import torch._dynamo
    from zoetrope.hosts.comfyui.compiled import hooks_heeded

    config: Any = torch._dynamo.config
    before = config.skip_nnmodule_hook_guards
    with hooks_heeded(torch.nn.Linear(1, 1), {}):
        assert not config.skip_nnmodule_hook_guards
    assert config.skip_nnmodule_hook_guards == before
