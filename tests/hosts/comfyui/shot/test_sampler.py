"""The queue in a graph of one's own, out of memory, the same objects queued again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from host_shots import WINDOW, all_latents, guider_for
from torch import Tensor

pytestmark = pytest.mark.host


@pytest.mark.parametrize("prediction", ["EPS", pytest.param("V_PREDICTION", marks=pytest.mark.slow)])
def test_the_sampler_in_a_graph_of_ones_own_gives_the_same_frames(
    film: Any, tiny: Any, tmp_path: Path, prediction: str
) -> None:
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.sampling.queue import QueueSettings, Schedules

    class Noise:
        seed = 3

        def generate_noise(self, latent: Any) -> Tensor:
            return torch.zeros_like(latent["samples"])

    queue = QueueSettings(window=WINDOW, partitions=2, context=1)
    guider = guider_for(tiny, tmp_path, prediction)
    sampler = FifoSampler(queue, 6, Schedules(), published=True)
    run = getattr(SamplerCustomAdvanced, "execute", None) or SamplerCustomAdvanced().sample
    sigmas = torch.tensor([14.0, 6.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.0])
    with torch.inference_mode():
        out = run(Noise(), guider, sampler, sigmas, {"samples": torch.zeros(WINDOW, 4, 8, 8)})
        samples, denoised = out[0]["samples"], out[1]["samples"]
        other = run(Noise(), guider, FifoSampler(queue, 6, Schedules(), False), sigmas, {"samples": torch.zeros(1, 4, 8, 8)})
    shot, _ = film(6, "same", prediction=prediction, seed=3)
    assert torch.allclose(samples, all_latents(shot, 6) / 0.18215, atol=1e-4)
    assert samples.shape == denoised.shape == other[0]["samples"].shape == (6, 4, 8, 8)
    assert not torch.allclose(other[0]["samples"], samples, atol=1e-2)


@pytest.mark.one_host
def test_out_of_memory_says_which_number_to_lower_and_loses_nothing(
    film: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as management
    from zoetrope.sampling.queue import QueueSettings

    whole = all_latents(film(10, "whole")[0], 10)
    decodes: list[int] = []
    real = tiny.Vae.decode

    def decode(self: Any, latents: Tensor) -> Tensor:
        decodes.append(1)
        if len(decodes) == 6:
            raise management.OOM_EXCEPTION("out of memory")
        return real(self, latents)

    monkeypatch.setattr(tiny.Vae, "decode", decode)
    with pytest.raises(
        RuntimeError, match=r"ran out of memory in decoding a frame; lower width and height, or run the VAE on the CPU"
    ):
        film(10)
    assert torch.equal(all_latents(film(10)[0], 10), whole)

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == 6:
            raise management.OOM_EXCEPTION("out of memory")

    queue = QueueSettings(window=WINDOW, partitions=2, context=1, windows_per_call=2)
    message = r"a call of 8 frames; lower windows_per_call \(now 2\) in Queue Settings, then window \(now 4\), then width"
    with pytest.raises(RuntimeError, match=message):
        film(10, "call", queue=queue, tell=tell)


def test_the_same_objects_queued_again_go_on_after_an_end_and_after_an_interrupt(film: Any, tiny: Any, tmp_path: Path) -> None:
    import comfy.model_management as management
    from zoetrope.hosts.comfyui.shot import plan as comfyui_plan
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot

    guider = guider_for(tiny, tmp_path)
    inputs, request = comfyui_shot.prepare(guider, tiny.Vae(), {"samples": torch.zeros(1, 4, 8, 8)})
    with torch.inference_mode():
        comfyui_plan.plan(inputs, replace(request, frames=4), tmp_path)  # loads everything before the first digest
    assert film(2, guider=guider)[1] == []
    longer, reason = film(4, guider=guider)
    assert (reason, longer.resumed) == ([], 2)

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == 2:
            raise management.InterruptProcessingException

    with pytest.raises(management.InterruptProcessingException):
        film(8, guider=guider, tell=tell)
    resumed, reason = film(8, guider=guider)
    assert (reason, resumed.resumed) == ([], 6)
    fresh, reason = film(9)  # as after a restart
    assert (reason, fresh.resumed) == ([], 8)


@pytest.mark.one_host
def test_windows_of_a_call_may_be_more_frames_than_the_module_can_tell_apart(film: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    queue = QueueSettings(window=WINDOW, partitions=6, context=0, windows_per_call=6)  # 24 rows, a table of 16
    assert len(all_latents(film(2, "many", queue=queue)[0], 2)) == 2


@pytest.mark.one_host
def test_pictures_that_are_decoded_before_the_first_step_are_counted_from_where_the_shot_stands(film: Any) -> None:
    from zoetrope.shots.journal import Journal

    made, _ = film(4)
    state = Journal.open(made.video.parent).state()
    assert state is not None
    assert state.frame == 4
    made.video.unlink()
    for part in made.video.parent.glob("*.mp4"):
        part.unlink()
    counted: list[tuple[int, int, float]] = []
    film(8, tell=lambda done, total, decoded, left: counted.append((done, total, left)))
    assert [counted[0][:2], counted[-1][:2]] == [(0, 4), (4, 4)]
    assert all(0 <= done <= total and left >= 0 for done, total, left in counted), counted
