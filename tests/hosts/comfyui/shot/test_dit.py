"""Long shots of the host's video transformers: longer, interrupted, killed, in blocks, with given frames, through Wan's VAE."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from films import read_video
from host_shots import Audience, all_latents, interrupting
from torch import Tensor

pytestmark = pytest.mark.host
WINDOW = 4


@pytest.fixture
def shot_of(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """shot_of(name, frames, folder=..., ...) -> (shot, reason) of a tiny video transformer, in segments of 4 latents."""
    import tiny_dits
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot
    from zoetrope.sampling.queue import QueueSettings
    from zoetrope.shots.folder import ShotFolder

    monkeypatch.setattr(comfyui_shot, "SEGMENT", 4)
    usual = QueueSettings(window=WINDOW, context=1, shift=1, eta=0.0, steps=6)

    def run(
        name: str, frames: int, folder: str = "shots", tell: Any = None, samples: Tensor | None = None, mask: Any = None,
        queue: Any = usual, guider: Any = None, vae: Any = None, cfg: float = 3.0, **request: Any,
    ) -> Any:  # fmt: skip
        c, h, w = tiny_dits.MODELS[name][2]
        latent = {"samples": torch.zeros(1, c, 3, h, w) if samples is None else samples}
        latent |= {} if mask is None else {"noise_mask": mask}
        made = guider or tiny_dits.guider(name, cfg=cfg)
        inputs, prepared = comfyui_shot.prepare(made, vae or tiny_dits.vae(name), latent)
        prepared = replace(prepared, frames=frames, queue=queue, **request)
        with torch.inference_mode():
            return comfyui_shot.make_shot(inputs, prepared, ShotFolder(tmp_path / folder, "shot"), Audience(tell))

    yield run
    tiny.unload()


def pixels(shot: Any) -> Tensor:
    return read_video(shot.video)[0]


@pytest.mark.parametrize("name", ["wan21", "wan22"])
def test_a_shot_is_made_longer_interrupted_and_resumed_with_the_same_latents_and_pixels(shot_of: Any, name: str) -> None:
    import comfy.model_management as management

    whole, reason = shot_of(name, 33, "whole")
    assert (reason, len(pixels(whole))) == ([], 33)
    assert whole.latents.shape[1:] == (16 if name == "wan21" else 48, 4, 6)
    assert len(pixels(shot_of(name, 1)[0])) == 1
    with pytest.raises(management.InterruptProcessingException):
        shot_of(name, 33, tell=interrupting(2))
    parts, reason = shot_of(name, 33)
    assert reason == []
    assert torch.equal(all_latents(parts, 9), all_latents(whole, 9)), "33 frames are 9 latents"
    assert torch.equal(pixels(parts), pixels(whole))
    assert torch.equal(pixels(shot_of(name, 7)[0]), pixels(whole)[:7])


@pytest.mark.parametrize("change", [{"block": 2}, {"context": 2, "shift": 0}, {"eta": 1.0}, {"windows_per_call": 2}])
@pytest.mark.one_host
def test_blocks_context_and_noise(shot_of: Any, change: dict[str, Any]) -> None:
    from zoetrope.sampling.queue import QueueSettings

    queue = replace(QueueSettings(window=WINDOW, context=1, shift=1, eta=0.0, steps=6), **change)
    first, again = (all_latents(shot_of("wan21", 9, folder, queue=queue)[0], 3) for folder in ("a", "b"))
    assert torch.equal(first, again)
    assert bool(first.isfinite().all())
    usual = all_latents(shot_of("wan21", 9, "usual")[0], 3)
    if "windows_per_call" in change:
        assert torch.allclose(first, usual, atol=1e-4)
    else:
        assert not torch.allclose(first, usual, atol=1e-2)


@pytest.mark.one_host
def test_few_steps_without_guidance(shot_of: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    sigmas, queue = torch.tensor([1.0, 0.8, 0.4, 0.0]), QueueSettings(window=WINDOW, context=1, shift=0, eta=1.0)
    short, _ = shot_of("wan21", 5, sigmas=sigmas, queue=queue, cfg=1.0)
    longer, reason = shot_of("wan21", 13, sigmas=sigmas, queue=queue, cfg=1.0)
    assert reason == []
    assert longer.resumed in (5, 9), "newer hosts decode two latents at a time"
    assert torch.equal(all_latents(longer, 2), all_latents(short, 2))


@pytest.mark.parametrize("name", ["wan22", "wan21"])
def test_first_frames_are_kept_and_lead_the_shot(shot_of: Any, name: str) -> None:
    """As core's nodes give them: latents with a noise mask that is 0 in the given frames."""
    import tiny_dits

    c, h, w = tiny_dits.MODELS[name][2]
    given, mask = torch.zeros(1, c, 3, h, w), torch.ones(1, 1, 3, h, w)
    given[:, :, 0], mask[:, :, 0] = tiny_dits.latents(name, 1)[0], 0.0
    shot, _ = shot_of(name, 9, "given", samples=given, mask=mask)
    base = tiny_dits.model(name).model
    expected = base.process_latent_in(given)[0, :, 0]
    assert torch.allclose(all_latents(shot, 1)[0], expected, atol=1e-6)
    small, _ = shot_of(name, 9, "small", samples=given, mask=mask[..., :1, :1])
    assert torch.equal(all_latents(small, 3), all_latents(shot, 3))
    other, _ = shot_of(name, 9, "other", samples=given + 1, mask=mask)
    assert not torch.allclose(all_latents(other, 3)[1:], all_latents(shot, 3)[1:], atol=1e-3), "later frames see it"


@pytest.mark.parametrize("name", ["wan22", "wan21"])
def test_a_shot_continues_a_clip(shot_of: Any, name: str) -> None:
    import tiny_dits

    first, _ = shot_of(name, 13, "first")
    base = tiny_dits.model(name).model
    given = base.process_latent_out(first.latents.movedim(0, 1)[None])
    after, _ = shot_of(name, 9, "after", samples=given)
    again, reason = shot_of(name, 9, "after", samples=given)
    assert (reason, again.resumed) == ([], 9)
    plain, _ = shot_of(name, 9, "plain")
    assert not torch.allclose(all_latents(after, 3), all_latents(plain, 3), atol=1e-2)


@pytest.mark.one_host
def test_a_prompt_timeline_changes_the_shot(shot_of: Any) -> None:
    import tiny_dits
    from zoetrope.hosts.comfyui.conditioning.timeline import encode_timeline
    from zoetrope.sampling.timeline import read_timeline

    class Words:
        def tokenize(self, text: str) -> str:
            return text

        def encode_from_tokens_scheduled(self, tokens: str) -> list[Any]:
            return tiny_dits.text("wan21", seed=len(tokens))

    def made(text: str, folder: str) -> Tensor:
        guider = tiny_dits.guider("wan21")
        guider.set_conds(encode_timeline(Words(), read_timeline(text, "text"), 24), tiny_dits.text("wan21", 4))
        return all_latents(shot_of("wan21", 29, folder, guider=guider)[0], 8)

    red, both, blue = (
        made("a red circle", "red"),
        made("0: a red circle / 21: a blue square", "both"),
        made("a blue square", "blue"),
    )
    assert torch.equal(red[:1], both[:1])
    assert not torch.allclose(red[7], both[7], atol=1e-3)
    assert not torch.allclose(blue[0], both[0], atol=1e-3)


@pytest.mark.one_host
def test_what_does_not_fit_is_refused_before_sampling(shot_of: Any, tmp_path: Path) -> None:
    import tiny_dits
    from zoetrope.sampling.queue import QueueSettings, Schedules
    from zoetrope.sampling.timeline import read_numbers

    small = QueueSettings(window=WINDOW, context=1, shift=0, steps=4)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"samples": torch.zeros(2, 16, 3, 4, 6)}, r"latent: expected one clip of 16 channels .* got \(2, 16, 3, 4, 6\)"),
        ({"samples": torch.ones(1, 48, 3, 4, 6)}, r"latent: expected one clip of 16 channels .* got \(1, 48, 3, 4, 6\)"),
        ({"queue": replace(small, context=0)}, "context: expected 1 or more for this MODEL, got 0"),
        ({"queue": replace(small, coherent_tail=0.5)}, "coherent_tail: expected 0 for this MODEL"),
        ({"sigmas": torch.tensor([1.0, 0.6, 0.3])}, "sigmas: expected 0 as the last noise level for this MODEL, got 0.3"),
        ({"loop": True}, "loop: not available with this MODEL: its first latent is a single frame"),
        ({"schedules": Schedules(strength=read_numbers("0: 1", "x", 0, 2))}, "strength_by_frame: .* it has no motion module"),
        ({"vae": tiny_dits.vae("wan22")}, "vae: this VAE decodes latents of 48 channels"),
    ]
    for change, message in cases:
        with pytest.raises(ValueError, match=message):
            shot_of("wan21", 5, **{"queue": small, **change})
    assert not (tmp_path / "shots").exists()
