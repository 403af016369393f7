"""Predictions that follow a source video, in the host's samplers, windows and queues."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host


class Shifted:
    """A source in which frame n shows what the anchor shows, a cell further right for each frame between them."""

    def __init__(self, frames: int, trust: float = 1.0):
        self.images, self._trust = torch.zeros(frames, 64, 64, 3), trust
        self.asked: list[tuple[int, int]] = []

    def cells(self, frame: int, anchor: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        self.asked.append((frame, anchor))
        numbers = torch.arange(size[0] * size[1], dtype=torch.int32).reshape(size)
        return numbers.roll(frame - anchor, 1), torch.full(size, self._trust)


def followed(model: Any, source: Any, start: float = 0.0, end: float = 1.0, colours: float = 1.0, trust: float = 1.0) -> Any:
    from zoetrope.hosts.comfyui.sampling.flow import FlowSettings, follow

    return follow(model, FlowSettings(source, start, end, colours, trust))


def predictions(tiny: Any, model: Any, frames: int = 4, **more: Any) -> list[Tensor]:
    """The predicted clean latents of each step."""
    found: list[Tensor] = []
    tiny.sample(model, frames, callback=lambda step, clean, x, total: found.append(clean.clone()), **more)
    return found


def in_windows(model: Any) -> Any:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    return in_windows(model, Windows("standard_static", 4, 2, fuse="flat"))


def test_nothing_changes_outside_its_steps_and_at_no_trust(tiny: Any, base: Any) -> None:
    plain = tiny.sample(base)
    assert torch.equal(tiny.sample(followed(base, Shifted(4), trust=0.0)), plain)
    assert torch.equal(tiny.sample(followed(base, Shifted(4, trust=0.0))), plain)
    usual, late = predictions(tiny, base), predictions(tiny, followed(base, Shifted(4), 0.5, 1.0))
    assert torch.equal(late[0], usual[0])  # the steps are at timesteps 999, 500 and 0
    assert not torch.allclose(late[-1], usual[-1], atol=1e-2)


def test_frames_get_the_first_ones_prediction_where_it_moved(tiny: Any, base: Any) -> None:
    usual, found = predictions(tiny, base)[0], predictions(tiny, followed(base, Shifted(4)))[0]
    assert torch.equal(found[0], usual[0])
    for frame in range(4):
        assert torch.allclose(found[frame], usual[0].roll(frame, -1), atol=1e-5)
    half = predictions(tiny, followed(base, Shifted(4), trust=0.5))[0]
    assert torch.allclose(half[2], (usual[2] + usual[0].roll(2, -1)) / 2, atol=1e-5)


def test_colours_are_those_of_the_first_frame_from_a_share_on(tiny: Any, base: Any) -> None:
    usual = predictions(tiny, base)
    found = predictions(tiny, followed(base, Shifted(4), colours=0.4, trust=0.0))
    assert torch.equal(found[0], usual[0])
    means = [one.mean(dim=(2, 3)) for one in (found[1], usual[1])]
    assert torch.allclose(means[0], means[1][:1].expand(4, -1), atol=1e-5)
    assert not torch.allclose(means[1][1], means[1][0], atol=1e-3)
    assert torch.equal(found[1][0], usual[1][0])


def test_windows_follow_their_own_first_frame_by_absolute_number(tiny: Any, base: Any) -> None:
    source = Shifted(6)
    for model in (in_windows(followed(base, source)), followed(in_windows(base), source)):
        source.asked.clear()
        tiny.sample(model, frames=6, steps=1)
        assert {pair for pair in source.asked if pair[0] != pair[1]} == {(1, 0), (2, 0), (3, 0), (3, 2), (4, 2), (5, 2)}
    with pytest.raises(ValueError, match="the source video has 5 frames, and the latent 6"):
        tiny.sample(in_windows(followed(base, Shifted(5))), frames=6, steps=1)
    with pytest.raises(ValueError, match="the source video has 3 frames, and the latent 4"):
        tiny.sample(followed(base, Shifted(3)), steps=1)


def test_rows_of_a_queue_follow_by_number_and_level(tiny: Any, base: Any) -> None:
    """Frames 4 to 7 at levels 0.2, 0.9, 3 and 12; the source ends with frame 6."""
    conditions, source = (tiny.text(), tiny.text(seed=2)), Shifted(7)
    plain = tiny.denoised(base, *conditions)
    found = tiny.denoised(followed(base, source, 0.0, 0.5), *conditions)
    for row, expected in enumerate((plain[0], plain[1], plain[0].roll(2, -1), plain[3])):  # 0.9 is in the second half
        assert torch.allclose(found[row], expected, atol=1e-5)


def test_it_is_a_setting_of_a_shot(base: Any) -> None:
    from zoetrope.hosts.comfyui.fingerprint import model_settings
    from zoetrope.video.frames.correspondence import SourceVideo

    def settings(trust: float, shade: float = 0.0) -> dict[str, str]:
        return model_settings(followed(base, SourceVideo(torch.full((2, 64, 64, 3), shade)), trust=trust))

    assert settings(0.5) == settings(0.5)
    for other in (settings(0.6), settings(0.5, 0.2)):
        assert {name for name, value in settings(0.5).items() if other[name] != value} == {"model patches"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 0.6, "end": 0.5}, "expected 0 <= start <= end <= 1, got 0.6 and 0.5"),
        ({"colours": 1.5}, "colours_from: expected 0 to 1, got 1.5"),
        ({"trust": 1.5}, "trust: expected 0 to 1, got 1.5"),
    ],
)
def test_settings_that_are_none(base: Any, change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        followed(base, Shifted(4), **change)


def test_the_node_follows_a_film(tiny: Any, base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    from zoetrope.nodes import inversion

    run: Callable[..., Any] = inversion.FollowFlow.execute
    still = tiny.picture(1, size=(80, 80)).expand(4, -1, -1, -1)  # every frame shows the first one's picture
    (model,) = run(base, still, 0.0, 1.0, 1.0, 1.0).args
    usual, found = predictions(tiny, base)[0], predictions(tiny, model)[0]
    assert torch.allclose(found, usual[:1].expand(4, -1, -1, -1), atol=1e-5)
    monkeypatch.setattr(inversion, "has_flow", lambda: False)
    with pytest.raises(ValueError, match="Follow Flow needs OpenCV: pip install opencv-python-headless"):
        run(base, still, 0.0, 0.1, 0.8, 1.0)
