"""Imports point down only: the floors of docs/architecture.md, read from the source and enforced."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT: dict[str, str] = {
    "__init__": "nodes",
    "cli": "hosts.diffusers demo shots shots.live video.* sampling models.*",
    "nodes": "hosts.comfyui.* shots shots.live video.* sampling models.*",
    "hosts": "",
    "hosts.comfyui.jobs": (
        "hosts.comfyui hosts.comfyui.motion hosts.comfyui.conditioning hosts.comfyui.sampling hosts.comfyui.vae "
        "shots video.* sampling models.*"
    ),
    "hosts.comfyui.loaders": "hosts.comfyui hosts.comfyui.motion hosts.comfyui.conditioning hosts.comfyui.vae demo models.*",
    "hosts.comfyui.shot": (
        "hosts.comfyui hosts.comfyui.conditioning hosts.comfyui.dit hosts.comfyui.sampling hosts.comfyui.vae shots sampling"
    ),
    "hosts.comfyui.live": (
        "hosts.comfyui hosts.comfyui.shot hosts.comfyui.sampling hosts.comfyui.conditioning hosts.comfyui.vae "
        "shots shots.live video.io video.live sampling"
    ),
    "hosts.comfyui.vae": "hosts.comfyui video.* sampling models.*",
    "hosts.comfyui.sampling": "hosts.comfyui hosts.comfyui.conditioning hosts.comfyui.dit sampling models.*",
    "hosts.comfyui.dit": "hosts.comfyui hosts.comfyui.conditioning models.*",
    "hosts.comfyui.conditioning": "hosts.comfyui hosts.comfyui.motion sampling models.*",
    "hosts.comfyui.motion": "hosts.comfyui sampling models.*",
    "hosts.comfyui": "shots models.*",
    "hosts.diffusers": "demo shots shots.live video.* sampling models.*",
    "training.demo": "training hosts.diffusers demo video.* sampling models.*",
    "training": "",
    "demo": "models.*",
    "shots.live": "shots video.io video.live sampling",
    "shots": "video.io sampling",
    "video": "",
    "video.quality": "video.frames video.io",
    "video.damage": "",
    "video.restore": "video.frames",
    "video.live": "video.io",
    "video.frames": "",
    "video.io": "",
    "models": "",
    "models.image_prompt": "models models.motion models.backbones models.layers models.formats",
    "models.restorers": "models.formats",
    "models.vae": "models.formats models.layers sampling",
    "models.motion": "models models.backbones models.layers models.formats",
    "models.edits": "models models.backbones models.layers",
    "models.backbones": "",
    "models.layers": "",
    "models.formats": "models",
    "sampling": "",
}
"""Room -> the rooms that it may import, `.*` with their sub-rooms. A file belongs to the longest name that fits its path."""

HOST_PACKAGES = {
    "comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "node_helpers",
    "latent_preview", "comfyui_version",
}  # fmt: skip
MAY_IMPORT_THE_HOST = ("nodes", "hosts.comfyui")
LIBRARIES: dict[str, set[str]] = {
    "sampling": {"torch"},
    "models": {"torch", "einops", "safetensors"},
    "video": {"torch", "numpy", "PIL", "imageio_ffmpeg", "einops", "av", "cv2"},
    "shots": {"torch", "safetensors"},
    "demo": {"torch", "einops"},
}
"""Room -> the libraries that it may import besides the standard one."""
NOT_THE_PACK = {"tests", "benchmarks", "tools"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def sources() -> dict[str, Path]:
    """Every module of the pack by its dotted name."""
    skipped = {".venv", ".venv-oldest", "node_modules", "output", "build", *NOT_THE_PACK}
    found = [p for p in ROOT.rglob("*.py") if not skipped & set(p.relative_to(ROOT).parts)]
    return {module_of(path): path for path in found}


def within(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether a module lies in one of these rooms, or in a sub-room of one."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def lets_in(target: str, module: str) -> bool:
    """Whether an entry of the table's right side means this module."""
    return within(module, (target.removesuffix(".*"),)) if target.endswith(".*") else room_of(module) == target


def room_of(module: str) -> str:
    """The longest name in the table that the module lies in."""
    fitting = [room for room in MAY_IMPORT if within(module, (room,))]
    assert fitting, f"{module} lies in no room of the table; add its room to MAY_IMPORT"
    return max(fitting, key=len)


@cache
def imports(module: str) -> tuple[tuple[str, str], ...]:
    """(kind, name) of each import: ("pack", models.layers.temporal) or ("outside", torch)."""
    path, found = sources()[module], []
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [("outside", alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(("outside", (node.module or "").partition(".")[0]))
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *(node.module or "").split(".")]).strip(".")
            names = [f"{base}.{alias.name}".strip(".") for alias in node.names]
            found += [("pack", name if name in sources() else base) for name in names]
    return tuple(dict.fromkeys(found))


def inside(module: str) -> list[str]:
    """The modules of the pack that a module imports."""
    return [name for kind, name in imports(module) if kind == "pack"]


@pytest.mark.parametrize("module", sources())
def test_imports_point_down_only(module: str) -> None:
    here = room_of(module)
    for name in inside(module):
        allowed = room_of(name) == here or any(lets_in(target, name) for target in MAY_IMPORT[here].split())
        assert allowed, f"{module} (room {here}) must not import {name} (room {room_of(name)})"
    for kind, name in imports(module):
        if kind == "outside":
            assert name != "zoetrope", "inside the pack imports are relative: the host loads it under a name of its own"
            assert name not in HOST_PACKAGES or within(module, MAY_IMPORT_THE_HOST), f"{module} must not import the host"


@pytest.mark.parametrize("module", [module for module in sources() if within(module, tuple(LIBRARIES))])
def test_lower_rooms_need_only_what_the_host_has(module: str) -> None:
    allowed = LIBRARIES[module.partition(".")[0]]
    foreign = {name for kind, name in imports(module) if kind == "outside"} - allowed - sys.stdlib_module_names
    assert not foreign, f"{module} imports {', '.join(sorted(foreign))}"


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Every cycle that a depth-first walk of a directed graph closes."""
    done: set[str] = set()
    found: list[list[str]] = []

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for target in sorted(arrows.get(node, ())):
                visit(target, [*path, node])
            done.add(node)

    for node in arrows:
        visit(node, [])
    return found


def test_no_import_goes_in_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]
    assert not circles({module: set(inside(module)) - {module} for module in sources()})


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Of the table's rooms, as the source uses them: a floor is below another or above it, never both."""
    arrows: dict[str, set[str]] = {}
    for module in sources():
        here = room_of(module)
        arrows.setdefault(here, set()).update(room_of(name) for name in inside(module) if room_of(name) != here)
    assert not circles(arrows)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_the_table_names_what_is_there_and_what_is_used(room: str) -> None:
    """A permission that nobody uses is an open door."""
    modules = [module for module in sources() if room_of(module) == room]
    assert modules, f"{room} has no module; take it out of the table"
    used = {name for module in modules for name in inside(module)}
    unused = [target for target in MAY_IMPORT[room].split() if not any(lets_in(target, name) for name in used)]
    assert not unused, f"{room} may import {', '.join(unused)}, and does not"


@pytest.mark.parametrize("module", sources())
def test_files_and_functions_stay_small(module: str) -> None:
    assert not too_long(sources()[module])


def too_long(path: Path) -> list[str]:
    """What of a file is longer than 300 lines, or 40 for a function."""
    text = path.read_text()
    found = [f"{path.name}: {text.count(chr(10))} lines; what idea is hiding in it?"] if text.count("\n") > 300 else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name != "define_schema":
            length = (node.end_lineno or 0) - node.lineno + 1
            found += [f"{path.name}: {node.name} has {length} lines"] if length > 40 else []
    return found


def names_of_families() -> dict[str, set[str]]:
    """Name, title or member name -> the files that may hold it: those of the families that it is of.

    Members are read off the key lists of published files; our own family's names are the pack's as well.
    """
    import formats
    from zoetrope.models.errors import WrongFile
    from zoetrope.models.image_prompt.families import PROJECTORS
    from zoetrope.models.motion.families import FAMILIES
    from zoetrope.models.motion.loading import take_apart
    from zoetrope.models.vae.families import VAES

    named: dict[str, set[str]] = {}
    for folder, families in (("motion", FAMILIES), ("vae", VAES), ("image_prompt", PROJECTORS)):
        for family in families:
            for name in {family.name, family.title} - OWN:
                named.setdefault(name, set()).add(f"models/{folder}/families")
    for published in formats.names():
        try:
            named.setdefault(take_apart(formats.published(published), {}, published, 0).report.variant.name, set())
        except WrongFile:
            continue  # a list of another sort of file
    return named


OWN = {"zoetrope", "Zoetrope"}
ALSO_WORDS = {"sd", "svd", "published", "diffusers"}
"""Names of VAE families that are spellings, folders and extensions as well."""


def named_in(path: Path, names: set[str]) -> set[str]:
    """Which of the names are string constants of a file, docstrings aside."""
    found = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return found & names


def test_families_are_named_only_in_their_own_files(tmp_path: Path) -> None:
    """A family is a file, not a branch: neither its name, nor its title, nor a member's name is told apart elsewhere."""
    names = set(names_of_families())
    assert {"animatediff", "lavie_vsr", "AnimateDiff", "LaVie VSR", "PIA", "v3", "VideoCrafter2 T2V 512"} <= names
    for line in ('x = report.family == "lavie_vsr"', 'x = report.title == "AnimateDiff"', 'x = variant.name in ("PIA",)'):
        (tmp_path / "branch.py").write_text(line)
        assert named_in(tmp_path / "branch.py", names), line
    strays = {
        module: named
        for module, path in sources().items()
        if "families" not in path.parts and (named := named_in(path, names - ALSO_WORDS))
    }
    assert not strays


def test_no_family_is_imported_by_name_but_where_families_are_listed() -> None:
    """Others ask `detect`; who needs a design of ours (the embedded model's) says so here."""
    allowed = {
        "demo.layout": {"zoetrope"}, "training.demo": {"ip_adapter", "svd"},  # the embedded model's parts
        "hosts.comfyui.conditioning.sparsectrl": {"animatediff"}, "hosts.comfyui.motion.apply": {"animatediff"},
        "models.motion.loading": {"animatediff"}, "nodes.motion": {"animatediff"},  # LoRAs and SparseCtrl are its own
    }  # fmt: skip
    for module in sources():
        if "families" in module.split("."):
            continue
        known = set().union(*(families for place, families in allowed.items() if within(module, (place,))))
        imported = {name for name in inside(module) if ".families." in name}
        strays = {name for name in imported if name.split(".families.")[1].partition(".")[0] not in known}
        assert not strays, f"{module} imports {strays}"


KNOW_THE_DEMO = (
    "demo", "hosts.comfyui.loaders.demo", "hosts.comfyui.loaders.demo_notes", "hosts.comfyui.loaders.demo_upscaler",
    "hosts.diffusers.demo", "nodes.load", "cli", "training.demo",
)  # fmt: skip


def test_nothing_but_its_loaders_knows_of_the_demo() -> None:
    """It runs through the code of any checkpoint: no `if demo`."""
    for module, path in sources().items():
        if within(module, KNOW_THE_DEMO):
            continue
        tree = ast.walk(ast.parse(path.read_text()))
        names = [str(getattr(n, "id", None) or getattr(n, "attr", None) or getattr(n, "module", None)) for n in tree]
        assert not [name for name in names if "demo" in name.lower()], module


def test_the_picture_is_of_today() -> None:
    from floors import picture

    drawn = (ROOT / "docs" / "architecture.svg").read_text()
    assert drawn == picture(), "run tools/floors.py"


@pytest.mark.parametrize("folder", sorted(NOT_THE_PACK))
def test_tests_and_tools_stay_small_too(folder: str) -> None:
    found = [line for path in sorted((ROOT / folder).rglob("*.py")) for line in too_long(path)]
    assert not found
