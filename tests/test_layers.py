"""Imports point down only: the floors of docs/architecture.md, read from the source and enforced."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": {"nodes"},
    "cli": {"hosts", "media", "models", "sampling", "training"},
    "nodes": {"hosts", "media", "models", "sampling"},
    "hosts": {"models", "sampling", "media"},
    "training": {"models", "sampling", "media", "hosts"},
    "media": set(),
    "sampling": set(),
    "models": set(),
}
HOST_PACKAGES = {
    "comfy",
    "comfy_api",
    "comfy_extras",
    "comfy_execution",
    "folder_paths",
    "server",
    "execution",
    "node_helpers",
    "latent_preview",
    "comfyui_version",
}
OTHERS: dict[str, set[str]] = {
    "models": {"torch", "einops", "safetensors"},
    "sampling": {"torch"},
    "media": {"torch", "numpy", "PIL", "imageio_ffmpeg", "einops", "safetensors", "av", "cv2"},
}


def sources() -> list[Path]:
    return [p for p in ROOT.rglob("*.py") if (room(p) in MAY_IMPORT) and ".venv" not in p.parts]


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0].removesuffix(".py")


def host_of(path: Path) -> str:
    """hosts/comfyui_demo.py and hosts/comfyui.py are one host's."""
    return path.stem.partition("_")[0]


def imports(path: Path) -> list[tuple[str, str]]:
    """(kind, name) of each import: ('room', models), ('sibling', hosts.comfyui) or ('outside', torch)."""
    found = []
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [("outside", alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(("outside", (node.module or "").partition(".")[0]))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            names = [(*base, *(node.module or "").split("."))] if node.module else [(*base, a.name) for a in node.names]
            found += [("room", ".".join(filter(None, name))) for name in names]
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    here = room(path)
    for kind, name in imports(path):
        top = name.partition(".")[0]
        if kind == "room" and top != here:
            assert top in MAY_IMPORT[here], f"{here} must not import {name}"
        if kind == "room" and here == top == "hosts" and name.partition(".")[2].partition("_")[0] != host_of(path):
            pytest.fail(f"hosts do not know each other: {path.name} imports {name}")
        if kind == "outside":
            assert top != "zoetrope", "inside the pack imports are relative: the host loads it under a name of its own"
            allowed_host = here == "nodes" or here == "hosts" and host_of(path) == "comfyui"
            assert top not in HOST_PACKAGES or allowed_host, (
                f"only nodes/ and hosts/comfyui*.py import the host, not {path.name}"
            )


@pytest.mark.parametrize("path", [p for p in sources() if room(p) in OTHERS], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_lower_rooms_need_only_what_the_host_has(path: Path) -> None:
    import sys

    for kind, name in imports(path):
        if kind == "outside":
            assert name in OTHERS[room(path)] or name in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_no_import_goes_in_a_circle() -> None:
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in sources()}
    arrows = {m: {n for kind, n in imports(p) if kind == "room" and n in modules and n != m} for m, p in modules.items()}

    def reach(start: str, seen: frozenset[str]) -> None:
        for target in arrows[start]:
            assert target not in seen, f"circle: {' -> '.join((*seen, target))}"
            reach(target, seen | {target})

    for module in arrows:
        reach(module, frozenset({module}))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300, f"{path.name}: what idea is hiding in it?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name != "define_schema":
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 40, f"{path.name}: {node.name} has {length} lines"


def test_families_are_named_only_in_their_own_files() -> None:
    """A family is a file, not a branch."""
    names = {p.stem for p in (ROOT / "models" / "families").glob("*.py")} - {"__init__", "zoetrope"}
    for path in sources():
        if "families" in path.parts:
            continue
        strings = [
            n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        assert not names & set(strings), f"{path.name} names a family"


def test_nothing_but_its_loaders_knows_of_the_demo() -> None:
    """It runs through the code of any checkpoint: no `if demo`."""
    loaders = {
        "models/demo.py",
        "hosts/comfyui_demo.py",
        "hosts/diffusers_demo.py",
        "hosts/diffusers_superres_demo.py",
        "hosts/comfyui_upscaler_demo.py",
        "hosts/diffusers_shot_demo.py",
        "nodes/load.py",
        "cli.py",
    }
    for path in sources():
        if str(path.relative_to(ROOT)) in loaders or room(path) == "training":
            continue
        tree = ast.walk(ast.parse(path.read_text()))
        names = [str(getattr(n, "id", None) or getattr(n, "attr", None) or getattr(n, "module", None)) for n in tree]
        assert not [name for name in names if "demo" in name.lower()], path.name
