"""Threads and waiting on a machine that others use as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from zoetrope.demo.cpu import MOST, idle_cores, share_the_cpu

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("cores", "load", "threads"), [(2, 0.0, 2), (2, 1.0, 1), (2, 7.5, 1), (16, 1.0, MOST), (1, 0.0, 1)])
def test_as_many_threads_as_cores_are_idle(monkeypatch: pytest.MonkeyPatch, cores: int, load: float, threads: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert idle_cores() == threads


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    chosen: dict[str, str] = {"OMP_NUM_THREADS": "7"}
    share_the_cpu(chosen)
    assert chosen == {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "PASSIVE"}


def test_nothing_is_set_where_torch_is_there_already() -> None:
    import torch

    chosen: dict[str, str] = {}
    assert sys.modules["torch"] is torch
    share_the_cpu(chosen)
    assert not chosen


def test_the_command_chooses_before_torch_is_loaded() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tools'); from naming import name_the_checkout; name_the_checkout(); "
        "import os; from zoetrope.cli import main; main(['inspect', 'README.md']); assert 'torch' in sys.modules; "
        "import torch; print(os.environ['OMP_WAIT_POLICY'], torch.get_num_threads())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("OMP_WAIT_POLICY", None)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["PASSIVE", "1"]
