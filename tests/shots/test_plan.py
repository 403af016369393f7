"""Arithmetic of a plan, and what it says when something does not fit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from zoetrope.shots.measure import disk_free, ram, seconds_of, written
from zoetrope.shots.plan import JobPlan, Measured, Plan, Work, in_words, size

WORK = Work(
    frames=100,
    latents=100,
    latents_first=1,
    warm_up=32,
    windows_per_frame=4,
    base_calls=48,
    latent_values=4 * 64 * 64,
    places=52,
)
MEASURED = Measured(0.5, {1: 0.5, 2: 0.42, 4: 0.41}, 0.1, 6 << 30, 8 << 30, 2 << 30, 16 << 30, 50 << 30, 20_000)


def test_figures_are_those_of_the_text() -> None:
    plan = Plan(WORK, MEASURED)
    figures = plan.figures()
    assert figures["seconds"] == plan.seconds
    assert figures["seconds_before"] == pytest.approx(plan.seconds - (WORK.frames - 1) * 2.1 - 0.1)
    assert (figures["disk"], figures["disk_free"]) == (plan.disk, 50 << 30)
    assert (figures["ram"], figures["ram_total"], figures["device"], figures["device_free"]) == (
        2 << 30,
        16 << 30,
        6 << 30,
        8 << 30,
    )
    assert figures["warnings"] == plan.warnings()
    json.dumps(figures)


def test_time_and_disk_add_up() -> None:
    plan = Plan(WORK, MEASURED)
    assert plan.seconds == pytest.approx((132 * 4 + 48) * 0.5 + 100 * 0.1)
    assert plan.seconds_per_frame == pytest.approx(2.1)
    assert plan.disk == 100 * (65_536 + 40_000) + 2 * 65_536 * 68
    assert plan.best_together == 2
    assert plan.warnings() == []
    text = plan.text()
    assert "5 min: 2.10 s a frame" in text
    assert "the first frame after 2 min" in text
    assert "6.4 GB at the peak, 8.6 GB free" in text


def test_a_job_is_windows_in_all_steps_and_frames() -> None:
    plan = JobPlan(100, 320, 300, 4 * 64 * 64, MEASURED)
    assert plan.seconds == pytest.approx(320 * 0.5 + 100 * 0.1)
    assert plan.unfinished == 65_536 * (100 + 2 * 316)
    assert plan.disk == plan.unfinished + 100 * 20_000
    assert plan.ram == (2 << 30) + 2 * 300 * 65_536
    assert plan.warnings() == []
    assert plan.text().splitlines() == [
        "time      3 min: 320 windows of 0.50 s in all steps, and 100 frames of 0.10 s to encode, decode and write",
        "disk      50 MB of 54 GB free; 48 MB of it only until the end",
        "memory    2.2 GB of main memory, whatever the length",
        "device    6.4 GB at the peak, 8.6 GB free before",
    ]
    small = replace(plan, measured=replace(MEASURED, disk_free=10_000_000, memory_free=1 << 30, ram_total=2 << 30))
    disk, memory, device = small.warnings()
    assert disk == "the disk is too small: free 40 MB, or use a shorter clip"
    assert memory == "main memory is too small: lower steps, window, or the size of the video"
    assert device == "the device is too small for this window: lower window, or the size of the video"


def test_what_does_not_fit_names_the_number_to_lower() -> None:
    small = Plan(WORK, replace(MEASURED, disk_free=10_000_000, memory_free=1 << 30))
    disk, device = small.warnings()
    assert disk.startswith("the disk is too small: lower frames to ")
    fits = int(disk.split("lower frames to ")[1].split(",")[0])
    assert 0 < fits < 100
    assert "lower window" in device
    assert small.text().count("\n! ") == 2
    assert "device" not in Plan(WORK, replace(MEASURED, memory=None, memory_free=None)).text()


def test_numbers_are_spoken() -> None:
    assert [in_words(s) for s in (3, 89, 91, 3600 * 1.4, 3600 * 3.34)] == ["3 s", "89 s", "2 min", "84 min", "3 h 20 min"]
    assert [size(n) for n in (5, 999, 1000, 45_000, 2.3e9, 5e14)] == [
        "5 bytes",
        "999 bytes",
        "1.0 KB",
        "45 KB",
        "2.3 GB",
        "500 TB",
    ]


def test_this_machine_is_measured(tmp_path: Path) -> None:
    calls: list[int] = []
    assert seconds_of(lambda: calls.append(1)) >= 0
    assert len(calls) == 3
    assert ram() > 50 << 20
    assert disk_free(tmp_path / "not" / "there") > 0
    seconds, count = written(torch.rand(3, 32, 32), 8)
    assert seconds > 0
    assert count > 100
