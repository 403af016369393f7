"""Pages name files, links, anchors and commands that exist."""

import ast
import importlib
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
from zoetrope.cli import main

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


def tracked_pages() -> list[Path]:
    """Every Markdown file that git tracks; where there is no git, those of `PAGES`."""
    done = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [ROOT / name for name in done.stdout.split()] or PAGES


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    found: list[str] = []
    headings = re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    for heading in headings:
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.strip()).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        seen = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found)
        found.append(f"{anchor}-{seen}" if seen else anchor)
    return set(found)


def dead_links(page: Path, text: str) -> list[str]:
    """Relative links and pictures of a page that lead to no file or no heading."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(text)) + re.findall(r'(?:src|href)="([^"]+)"', without_code(text))
    dead = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8") if name else text)):
            dead.append(target)
    return dead


def test_a_dead_link_is_found() -> None:
    text = (
        "# A page, of `code`\n## Twice\n## Twice\n```\n# no heading\n[x](nothing.md)\n```\n`[x](nothing.md)` "
        "[a](README.md) [b](README.md#install) [c](#a-page-of-code) [d](#twice-1) [e](https://example.org/none)"
    )
    assert not dead_links(ROOT / "CONTRIBUTING.md", text)
    dead = text + " [f](none.md) ![g](docs/none.png) [h](README.md#none) [i](#no-heading)"
    assert dead_links(ROOT / "CONTRIBUTING.md", dead) == [
        "none.md", "docs/none.png", "README.md#none", "#no-heading",
    ]  # fmt: skip


@pytest.mark.parametrize("page", tracked_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_anchors_exist(page: Path) -> None:
    dead = dead_links(page, page.read_text(encoding="utf-8"))
    assert not dead, f"{page.relative_to(ROOT)} links to {', '.join(dead)}"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def command_lines() -> list[str]:
    lines = [line for page in (ROOT / "README.md", ROOT / "demo" / "README.md") for language in ("sh", "bat")
             for block in blocks(page, language) for line in block.splitlines()]  # fmt: skip
    return [line for line in lines if line.strip() and not line.startswith("#")]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("line", command_lines())
def test_commands_of_the_readmes_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(line.replace("\\", "/"), comments=True)
    if program == "make":
        assert words[0] in make_targets()
    elif program.endswith("zoetrope"):
        with pytest.raises(SystemExit) as stop:
            main([words[0], "--help"])
        known = capsys.readouterr().out
        assert stop.value.code == 0
        assert all(re.search(rf"(?<![\w-]){word}\b", known) for word in words if word.startswith("--")), known
    elif words[:2] == ["-m", "pip"]:
        assert words[-1].endswith("custom_nodes/zoetrope/requirements.txt")
        assert (ROOT / "requirements.txt").is_file()
    elif words[0] == "-m":
        path = ROOT.joinpath(*words[1].split(".")[1:])
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    else:
        assert words[0] == "-c"
        ast.parse(words[1])


@pytest.mark.parametrize("code", blocks(ROOT / "README.md", "python"), ids=lambda code: code.split("\n")[0])
def test_python_of_the_readme_imports_what_exists(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            pytest.importorskip((node.module or "").partition(".")[0])
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)


def test_make_targets_of_the_readme_exist() -> None:
    named = set(re.findall(r"`make (\w+)", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    assert named <= make_targets()
