"""What can be said about a clip without a network."""

import json
from pathlib import Path

import pytest
import torch
from layers import noise
from zoetrope.demo.world import draw, film
from zoetrope.video.quality.chart import curves, stacked
from zoetrope.video.quality.clip_metrics import Quality, measure
from zoetrope.video.quality.clip_tables import columns_of, differences, json_of, lines_of, table_of


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


def test_frozen_frames_cuts_and_the_gap_of_a_loop_are_found() -> None:
    clip = shot(24)
    stuck = clip.clone()
    stuck[6:12] = clip[5]
    assert measure(stuck).frozen == pytest.approx(6 / 23)
    assert measure(clip).frozen == 0
    other = torch.cat([clip[:12], 1 - clip[12:]])
    assert (measure(clip).cuts, measure(other).cuts) == ([], [12])
    circle = film(draw(torch.Generator().manual_seed(2), motion="moving right", speed=0.5), 33, 32, 16)  # back after 32 frames
    assert measure(circle[:32]).loop_gap == pytest.approx(1, abs=0.15)
    assert measure(circle[:20]).loop_gap > 2


def test_two_clips_have_a_row_for_each_metric_with_the_interval_of_their_difference(tmp_path: Path) -> None:
    truth = shot(32)
    found = {"a": measure(truth), "b": measure(truth + 0.01 * noise(*truth.shape))}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table_of(found).splitlines()]
    assert rows[0] == ["metric", "a", "b", "b minus a (95 %)"]
    named = {row[0]: row[1:] for row in rows[2:]}
    assert list(named) == [
        "frames", "difference", "second difference", "drift", "pulse", "frozen", "cuts", "loop gap"
    ]  # fmt: skip
    gap, low, high = differences(found)["difference"]
    assert gap == pytest.approx(float(named["difference"][1]) - float(named["difference"][0]), abs=0.02)
    assert 0 < low <= gap <= high
    assert "PSNR dB" not in named
    assert {"PSNR dB", "its error", "seams"} <= set(columns_of({"a": measure(truth, truth)}, 4))
    assert differences({"a": measure(truth), "b": measure(truth[:20])}) == {}
    page = json.loads(json_of(found, frames=True))
    assert page["clips"]["b"]["metrics"]["difference"] == pytest.approx(sum(found["b"].difference) / 31, abs=1e-4)
    assert len(page["clips"]["a"]["by frame"]["second difference"]) == 30
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
