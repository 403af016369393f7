"""Pages name files that exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "demo" / "README.md"]
    + [path for folder in ("docs", "web/docs") for path in (ROOT / folder).glob("*.md")]
)
ROOMS = (
    "benchmarks", "cli", "demo", "docs", "hosts", "locales", "models", "nodes", "sampling", "shots", "tests", "tools",
    "training", "video", "web", "workflows",
)  # fmt: skip
THE_HOSTS = {
    "animatediff_models", "animatediff_motion_lora", "checkpoints", "clip_vision", "controlnet", "diffusion_models",
    "ipadapter", "loras", "text_encoders", "upscale_models", "zoetrope_motion", "zoetrope_motion_lora", "zoetrope_video",
}  # fmt: skip
"""Folders below ComfyUI's `models/`, which share its name with ours."""
CODE = (".py", ".js", ".mjs")


@cache
def endings() -> set[str]:
    """Every file and folder of the repository, and each way to shorten its path from the left; tests are named in full."""
    found = [path for room in ROOMS for path in (ROOT / room, *(ROOT / room).rglob("*")) if "__pycache__" not in path.parts]
    parts = [path.relative_to(ROOT).parts for path in (*found, *ROOT.glob("*.*"))]
    return {"/".join(part[start:]) for part in parts for start in range(1 if part[0] == "tests" else len(part))}


def dead_paths(text: str) -> list[str]:
    """Paths of the repository in backticks that are not there: those of code files, and those that start with a room's name."""
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    words = [word.rstrip("./") for part in quoted for word in re.findall(r"[\w.<>*-]+(?:/[\w.<>*-]*)*", part)]
    return [word for word in words if _is_ours(word) and word not in endings()]


def _is_ours(word: str) -> bool:
    first, *rest = word.split("/")
    if re.search(r"[<>*]", word) or (first == "models" and rest and rest[0] in THE_HOSTS):
        return False
    return word.endswith(CODE) or bool(first in ROOMS and rest)


def test_a_dead_path_is_found() -> None:
    text = "`models/layers/temporal.py`, `layers/temporal.py: TemporalLayer`, `models/loras`, `tests/test_<name>.py`, `models/`"
    assert not dead_paths(text)
    assert dead_paths("see `hosts/comfyui_stage.py`, `models/families/`, `comfyui_strip.py` and `tests/none/a.json`") == [
        "hosts/comfyui_stage.py", "models/families", "comfyui_strip.py", "tests/none/a.json",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_files_that_exist(page: Path) -> None:
    dead = dead_paths(page.read_text())
    assert not dead, f"{page.relative_to(ROOT)} names {', '.join(dead)}, which are not in the repository"
