"""What can be said about a clip without a network."""

from pathlib import Path

import pytest
import torch
from layers import noise
from zoetrope.demo.world import draw, film
from zoetrope.video.frames.warp import trusted, warped
from zoetrope.video.quality.chart import curves, stacked
from zoetrope.video.quality.clip_metrics import Quality, lines_of, measure, table_of


def shot(frames: int = 32, size: int = 32) -> torch.Tensor:
    return film(draw(torch.Generator().manual_seed(2), motion="moving right"), frames, size, 16)


def test_the_truth_has_no_error_and_flicker_is_found_at_its_frequency() -> None:
    truth = shot()
    same = measure(truth, truth)
    assert same.frames == 32
    assert max(same.error) == 0
    assert min(same.psnr) == pytest.approx(100)
    beat = torch.where(torch.arange(32) % 2 == 0, 0.02, -0.02)[:, None, None, None]
    flickering = measure((truth * 0.8 + 0.1 + beat), truth * 0.8 + 0.1)
    assert sum(flickering.error) / 31 == pytest.approx(0.04 * 255, rel=1e-3)
    power = flickering.spectrum()
    assert int(power.argmax()) >= len(power) - 2  # every second frame: the highest frequency there is
    assert flickering.pulse() > 10 * max(same.pulse(), 0.01)


def test_drift_is_of_colour_and_of_the_beginning() -> None:
    clip = torch.zeros(20, 3, 8, 8)
    clip[:, 0] = torch.linspace(0, 0.2, 20)[:, None, None]
    assert measure(clip).drift == pytest.approx((0.2 - 0.2 * 2 / 19) * 255, rel=1e-4)


def test_seams_are_larger_where_windows_meet() -> None:
    still = torch.full((33, 3, 8, 8), 0.5) + 0.01 * noise(33, 3, 8, 8)
    jumps = still + (torch.arange(33) // 8 * 0.1)[:, None, None, None]
    assert measure(jumps).seams(8) > 5
    assert measure(still).seams(8) == pytest.approx(1, abs=0.1)
    assert measure(jumps).seams(8, 4) < 1
    with pytest.raises(ValueError, match="seams: expected more than 40 frames, got 33"):
        measure(jumps).seams(40)


def test_the_warping_error_of_a_known_motion_is_that_of_what_is_added() -> None:
    pattern = noise(1, 3, 24, 64)[0].sigmoid()
    clip = torch.stack([pattern.roll(2 * n, -1) for n in range(6)])[..., 16:48]
    back = torch.zeros(2, 24, 32)
    back[0] = -2

    def carry(number: int, before: torch.Tensor, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        held = trusted(back[None], -back[None])[0, 0]
        held[:, :2] = False  # came in at the edge
        return warped(before[None], back[None])[0], held

    moving = measure(clip, carry=carry)
    assert max(moving.warping) < 0.01
    assert min(moving.difference) > 10
    flickering = measure(clip + 0.02 * (torch.arange(6) % 2)[:, None, None, None], carry=carry)
    assert min(flickering.warping) == pytest.approx(0.02 * 255, rel=0.01)


def test_opencvs_flow_finds_the_same_motion() -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: nothing to compute a flow with")
    from zoetrope.video.frames.flow import flow_between, has_flow
    from zoetrope.video.quality.clip_metrics import along_flow

    assert has_flow()
    clip = shot(4, 64)
    assert measure(clip, carry=along_flow).warping[1] < 0.5 * measure(clip).difference[1]
    with pytest.raises(ValueError, match="pictures of 16x16 or more, got 8x8"):
        flow_between(clip[0, :, :8, :8], clip[1, :, :8, :8])


def test_a_table_has_columns_for_what_was_measured_and_a_chart_can_be_drawn(tmp_path: Path) -> None:
    truth = shot(12)
    found = {"a": measure(truth), "b": measure(truth + 0.01 * noise(*truth.shape))}
    table = table_of(found).splitlines()
    assert table[0] == "| clip | frames | difference | second difference | drift | pulse |"
    assert [row.split("|")[1].strip() for row in table[2:]] == ["a", "b"]
    assert "PSNR dB | difference | its error" in table_of({"a": measure(truth, truth)}, 4)
    pages = [curves(title, "", lines) for title, lines in lines_of(found).items()]
    page = stacked(pages)
    assert page.height == sum(one.height for one in pages)
    assert len(page.getcolors(1 << 20) or []) > 3


def test_refusals() -> None:
    truth = shot(4)
    with pytest.raises(ValueError, match="2 frames or more, got 1"):
        measure(truth[:1])
    with pytest.raises(ValueError, match="differ in length: one of them ends after frame 3"):
        measure(truth, truth[:3])
    with pytest.raises(ValueError, match="frame 0: expected the truth's size"):
        measure(truth, truth[..., :16])
    with pytest.raises(ValueError, match="spectrum: expected 4 frames or more"):
        Quality(colours=[(0, 0, 0)] * 3).spectrum()
