"""Moving previews: how many messages a run sends, what they contain, what switches them off, and that results stay the same."""

import base64
import logging
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.host

STEPS = 5


class Page:
    """The host's server as far as previews use it, with one queued run."""

    def __init__(self) -> None:
        self.client_id: str | None = "page"
        self.settings_on_disk: dict[str, Any] = {}
        self.extra: dict[str, Any] = {"extra_pnginfo": {"workflow": {"id": "w"}}}
        self.sent: list[dict[str, Any]] = []
        self.prompt_queue = SimpleNamespace(get_current_queue_volatile=lambda: ([(0, "p", {}, self.extra, [])], []))
        self.user_manager = SimpleNamespace(settings=SimpleNamespace(get_settings=lambda _: self.settings_on_disk))

    def send_sync(self, event: str, data: dict[str, Any], page: str) -> None:
        assert (event, page) == ("zoetrope.preview", "page")
        self.sent.append(data)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A page that has queued the running node, with previews after every step."""
    from comfy.cli_args import LatentPreviewMethod, args
    from comfy_execution.utils import CurrentNodeContext
    from zoetrope.hosts.comfyui import previews, progress

    made = Page()
    monkeypatch.setattr(progress, "_server", lambda: made)
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Auto)
    monkeypatch.setattr(previews, "EVERY", 0.0)
    monkeypatch.setattr(previews, "SHARE", float("inf"))
    with CurrentNodeContext("p", "5:12"):
        yield made


@pytest.fixture
def moving(tiny: Any, base: Any, tmp_path: Path) -> Any:
    return tiny.applied(base, tiny.own_file(base, tmp_path / "m.safetensors", seed=1))


def run(tiny: Any, model: Any, frames: int = 4, **more: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A sampled clip, and the clean predictions that the host's callback got."""
    seen: list[torch.Tensor] = []
    done = tiny.sample(model, frames=frames, steps=STEPS, callback=lambda step, clean, *_: seen.append(clean.clone()), **more)
    return done, seen


def pictures(message: dict[str, Any]) -> np.ndarray:
    """Frames `(f, h, w, 3)` of a message."""
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(message["sheet"]))))
    columns = message["columns"]
    rows = -(-message["frames"] // columns)
    tiles = [tile for row in np.split(sheet, rows, 0) for tile in np.split(row, columns, 1)]
    return np.stack(tiles[: message["frames"]])


def test_every_step_sends_the_clip_of_its_clean_prediction(tiny: Any, moving: Any, page: Page) -> None:
    from latent_preview import Latent2RGBPreviewer

    _, seen = run(tiny, moving)
    assert len(page.sent) == STEPS == len(seen)
    factors = Latent2RGBPreviewer(moving.model.latent_format.latent_rgb_factors)
    for message, clean in zip(page.sent, seen, strict=True):
        assert (message["node"], message["workflow"], message["frames"]) == ("5:12", "w", 4)
        expected = np.stack([np.asarray(factors.decode_latent_to_preview(frame[None])) for frame in clean])
        assert pictures(message).shape == expected.shape == (4, 8, 8, 3)
        assert np.abs(pictures(message).astype(int) - expected).mean() < 12  # JPEG of noise


def test_results_are_the_same_bits_with_and_without(tiny: Any, moving: Any, page: Page) -> None:
    for sampler in ("euler", "dpmpp_2m_sde", "uni_pc", "dpm_fast"):
        page.client_id = "page"
        page.sent.clear()
        shown, _ = run(tiny, moving, sampler=sampler)
        assert page.sent
        page.client_id = None
        page.sent.clear()
        assert torch.equal(run(tiny, moving, sampler=sampler)[0], shown), sampler
        assert torch.equal(tiny.sample(moving, frames=4, steps=STEPS, sampler=sampler), shown), sampler  # no callback
        assert page.sent == []


def off_by_method(page: Page) -> None:
    from comfy.cli_args import LatentPreviewMethod, args

    args.preview_method = LatentPreviewMethod.NoPreviews


@pytest.mark.parametrize(
    "switch",
    [
        off_by_method,
        lambda page: page.settings_on_disk.update({"Zoetrope.Panels.MovingPreviews": False}),
        lambda page: page.settings_on_disk.update({"VHS.LatentPreview": True}),
        lambda page: page.extra.clear(),
        lambda page: page.extra.update(extra_pnginfo=None),
        lambda page: setattr(page, "client_id", None),
    ],
    ids=["preview method none", "setting", "another pack's previews", "queued by a script", "no workflow", "no page"],
)
def test_where_they_are_off_nothing_is_computed(
    tiny: Any, moving: Any, page: Page, switch: Callable[[Page], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoetrope.hosts.comfyui import previews

    computed: list[Any] = []
    monkeypatch.setattr(previews, "frames_of", lambda *args: computed.append(args))
    switch(page)
    _, seen = run(tiny, moving)
    assert len(seen) == STEPS
    assert (computed, page.sent) == ([], [])


def test_on_a_server_with_several_users_the_setting_is_left_to_the_page(
    tiny: Any, moving: Any, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comfy.cli_args import args

    monkeypatch.setattr(args, "multi_user", True)
    page.settings_on_disk["Zoetrope.Panels.MovingPreviews"] = False
    run(tiny, moving)
    assert len(page.sent) == STEPS


def test_windows_and_edits_across_frames_have_them_once_and_other_models_have_none(tiny: Any, moving: Any, page: Page) -> None:
    from zoetrope.hosts.comfyui.conditioning.merging import MergeSettings, merge_across_frames
    from zoetrope.hosts.comfyui.conditioning.shared_attention import SharedSettings, apply_shared
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.models.edits.frame_table import FrameTable
    from zoetrope.sampling.windows import Windows

    plain = tiny.model()
    windows = Windows("standard_static", 4, 2)
    clips = {
        "windows": in_windows(plain, windows),
        "both": in_windows(moving, windows),
        "shared": apply_shared(plain, SharedSettings(FrameTable("first frame")))[0],
        "merged": merge_across_frames(plain, MergeSettings())[0],
    }
    for name, model in clips.items():
        run(tiny, model, frames=6)
        assert [message["frames"] for message in page.sent] == [6] * STEPS, name
        page.sent.clear()
    run(tiny, plain, frames=6)  # six pictures, not a clip
    run(tiny, moving, frames=1)
    assert page.sent == []


def test_an_error_is_logged_once_and_the_run_goes_on(
    tiny: Any, moving: Any, page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from zoetrope.hosts.comfyui import previews

    expected, _ = run(tiny, moving)
    page.sent.clear()
    for name in ("page_run", "pictures_of"):
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(previews, name, lambda *_: 1 / 0)
            assert torch.equal(run(tiny, moving)[0], expected)
        assert [one.message for one in caplog.records if "moving previews" in one.message] == [
            "Zoetrope: moving previews failed and are off until the sampler has finished"
        ]
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()
    assert page.sent == []


def test_their_number_and_their_share_of_the_time_are_limited(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from comfy.latent_formats import SD15
    from zoetrope.hosts.comfyui import previews

    monkeypatch.setattr(previews, "EVERY", 0.5)
    monkeypatch.setattr(previews, "SHARE", 0.02)
    clock = SimpleNamespace(now=0.0, cost=0.001)
    monkeypatch.setattr(previews.time, "perf_counter", lambda: clock.now)
    drawn = previews.sheet_of

    def costly(*args: Any) -> str:
        clock.now += clock.cost
        return drawn(*args)

    monkeypatch.setattr(previews, "sheet_of", costly)
    for cost, most in ((0.001, 19), (0.1, 2)):  # ten seconds in steps of a tenth
        clock.now, clock.cost = 0.0, cost
        page.sent.clear()
        made = previews.Previews(SD15(), {})
        for _ in range(100):
            clock.now += 0.1
            made.after_step(torch.zeros(4, 4, 8, 8))
        assert 0 < len(page.sent) <= most
        assert len(page.sent) >= most - 2 or cost == 0.1


def test_long_clips_large_latents_and_several_clips(page: Page) -> None:
    from comfy.latent_formats import SD15
    from zoetrope.hosts.comfyui.call import MOTION
    from zoetrope.hosts.comfyui.previews import frames_of, pictures_of

    numbered = torch.arange(40.0).reshape(40, 1, 1, 1).expand(40, 4, 1, 1)
    assert frames_of(numbered, {})[:, 0, 0, 0].tolist()[::5] == [0.0, 13.0, 26.0, 39.0]
    assert len(frames_of(numbered, {})) == 16
    assert frames_of(numbered, {f"{MOTION}.0": {"frames": 8}})[:, 0, 0, 0].tolist() == [0.0, 1, 2, 3, 4, 5, 6, 7]  # the first
    assert pictures_of(torch.zeros(2, 4, 200, 320), SD15()).shape == (2, 80, 128, 3)


def test_latents_of_video_models_and_a_format_that_reshapes(page: Page) -> None:
    import comfy.latent_formats as formats
    from zoetrope.hosts.comfyui.previews import Previews, pictures_of

    clean = torch.randn(1, 16, 5, 8, 12, generator=torch.Generator().manual_seed(0)).half()
    Previews(formats.Wan21(), {}).after_step(clean)
    (message,) = page.sent
    assert pictures(message).shape == (5, 8, 12, 3)
    factors = torch.tensor(formats.Wan21().latent_rgb_factors)
    bias = torch.tensor(formats.Wan21().latent_rgb_factors_bias)
    expected = ((clean[0, :, 2].float().movedim(0, -1) @ factors + bias + 1) * 127.5).clamp(0, 255)
    assert (pictures_of(clean[0].movedim(1, 0), formats.Wan21())[2] - expected).abs().max() <= 1
    unpacked = SimpleNamespace(
        latent_rgb_factors=[[1.0, 1.0, 1.0]], latent_rgb_factors_reshape=lambda x: x.reshape(len(x), 1, 2, 2)
    )
    assert pictures_of(torch.tensor([-1.0, 0.0, 0.5, 1.0]).reshape(1, 4, 1, 1), unpacked)[0, ..., 0].tolist() == [
        [0, 128],
        [191, 255],
    ]
    Previews(formats.LatentFormat(), {}).after_step(clean)  # no factors: the host has no preview either
    assert len(page.sent) == 1
