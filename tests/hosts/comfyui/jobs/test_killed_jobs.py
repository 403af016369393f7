"""Jobs whose process is killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = [pytest.mark.host, pytest.mark.one_host, pytest.mark.slow]

PROCESS = Path(__file__).parents[3] / "support" / "job_process.py"
KILLS = 10


@pytest.mark.parametrize(
    ("job", "source", "made", "side"),
    [("restyle", 1000, 1000, 64), ("interpolate", 300, 1197, 64), ("upscale", 600, 600, 64)],
)
def test_a_process_killed_ten_times_ends_with_the_same_bits(
    tmp_path: Path, job: str, source: int, made: int, side: int
) -> None:
    def command(folder: Path) -> list[str]:
        folder.mkdir(exist_ok=True)
        return [sys.executable, str(PROCESS), job, str(folder), str(source)]

    started = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    whole = time.monotonic() - started
    moments = random.Random(1)
    for _ in range(KILLS):
        process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=whole * (0.05 + 0.1 * moments.random()))
        process.kill()
        process.wait()
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    a, b = (load_file(tmp_path / name / "frames.safetensors")["frames"] for name in ("whole", "killed"))
    assert a.shape == (made, 3, side, side)
    assert torch.equal(a, b)
