"""What would be published: the archive's files, and what they must not do."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest
import registry
from archive import ROOT, pack, published
from PIL import Image

FORBIDDEN_IMPORTS = {
    "aiohttp", "code", "ctypes", "dill", "ftplib", "http", "httpx", "marshal", "multiprocessing", "pickle", "pip", "pty",
    "requests", "shelve", "smtplib", "socket", "subprocess", "telnetlib", "urllib", "urllib3", "webbrowser", "websocket",
    "xmlrpc",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "system", "popen", "execv", "execve", "spawnv", "startfile", "load_library",
}  # fmt: skip
FORBIDDEN_SCRIPT = (
    "eval(", "Function(", "import('http", "fetch(", "XMLHttpRequest", "WebSocket(", "innerHTML", "outerHTML",
    "insertAdjacentHTML", "document.write", "localStorage", "sessionStorage", "indexedDB", "document.cookie", "http://",
    "https://", ".prototype.",
)  # fmt: skip
LARGEST = {".safetensors": 10_000_000, ".jpg": 120_000, ".json": 90_000}
"""Bytes by suffix; everything else at most 20,000."""
MOST = 32_000_000


@pytest.fixture(scope="module")
def files() -> list[str]:
    found = published()
    if not found:
        pytest.skip("the checkout is no git repository, so nothing says what would be published")
    return found


def test_the_archive_holds_what_runs_and_nothing_else(files: list[str]) -> None:
    tops = {PurePosixPath(name).parts[0] for name in files}
    assert tops == {
        "CHANGELOG.md", "LICENSE", "README.md", "__init__.py", "cli", "demo", "hosts", "locales", "models", "nodes",
        "pyproject.toml", "requirements.txt", "sampling", "shots", "subgraphs", "video", "web", "workflows",
    }  # fmt: skip
    needed = {"__init__.py", "web/zoetrope.js", "locales/zh/nodeDefs.json", "demo/weights/unet.safetensors"}
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "web" / "docs").rglob("*") if path.is_file()}
    assert needed <= set(files)


def test_no_file_is_above_its_cap(files: list[str]) -> None:
    for name in files:
        path = ROOT / name
        cap = LARGEST.get(path.suffix, 20_000)
        assert path.stat().st_size <= cap, f"{name}: {path.stat().st_size} bytes, at most {cap}"
    assert sum((ROOT / name).stat().st_size for name in files) < MOST


def test_python_starts_nothing_reaches_nothing_and_runs_no_text(files: list[str]) -> None:
    for name in (one for one in files if one.endswith(".py")):
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_IMPORTS, name
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").partition(".")[0] not in FORBIDDEN_IMPORTS, name
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
                plain = isinstance(node.func, ast.Name)
                risky = called in FORBIDDEN_CALLS and (
                    plain or called not in ("eval", "compile")
                )  # module.eval(), re.compile()
                assert not risky, f"{name}, line {node.lineno}: {called}"
                if called == "load" and ast.unparse(node.func) == "torch.load":
                    assert "weights_only=True" in ast.unparse(node), f"{name}, line {node.lineno}"


def test_no_file_has_the_word_that_reviewers_of_packs_search_for(files: list[str]) -> None:
    """The Manager's list turns packs away on sight of it, whatever it is used for."""
    for name in (one for one in files if one.endswith((".py", ".js", ".toml", ".json"))):
        assert "pickle" not in (ROOT / name).read_text(encoding="utf-8").lower(), name


def test_the_registrys_scanner_finds_nothing(files: list[str]) -> None:
    """Bandit, less what the registry skips: asserts, exceptions passed over in a loop, random numbers."""
    if not find_spec("bandit"):
        pytest.skip("bandit is not installed (pip install -e .[dev])")
    scanned = [str(ROOT / name) for name in files if name.endswith(".py")]
    command = [sys.executable, "-m", "bandit", "-q", "-f", "json", "-s", "B101,B112,B311", *scanned]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False, timeout=300).stdout)
    assert report["errors"] == []
    assert [(one["filename"], one["line_number"], one["test_id"]) for one in report["results"]] == []
    assert report["metrics"]["_totals"]["nosec"] == 0


def test_the_rules_of_comfy_node_validate_hold(files: list[str]) -> None:
    """No exec (S102), no eval (S307), no two statements on a line (E702)."""
    scanned = [str(ROOT / name) for name in files if name.endswith(".py")]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "S102,S307,E702", *scanned]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]


def test_scripts_are_our_own_readable_and_keep_to_the_page(files: list[str]) -> None:
    scripts = [name for name in files if name.endswith((".js", ".mjs", ".ts", ".html", ".css"))]
    assert all(name.startswith("web/zoetrope") and name.endswith(".js") for name in scripts)
    for name in scripts:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text.startswith("// "), f"{name}: says first what it is"
        assert max(map(len, text.splitlines())) < 420, f"{name}: looks minified"
        for word in FORBIDDEN_SCRIPT:
            assert word not in text, f"{name}: {word}"
        for imported in re.findall(r"from '([^']+)'", text):
            assert re.fullmatch(r"\./[\w/]+\.js|(\.\./){2,3}scripts/(app|api)\.js", imported), f"{name}: {imported}"


def test_the_registry_finds_what_it_asks_for() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'^name = "zoetrope"$', text, re.MULTILINE)
    assert re.search(r'^version = "\d+\.\d+\.\d+"$', text, re.MULTILINE)
    version = re.findall(r'^version = "(.+)"$', text, re.MULTILINE)[0]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    for key in ("PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui"):
        assert re.search(rf'^{key} = "[^"]+"', text, re.MULTILINE), key
    for key, name in (("Icon", "icon"), ("Banner", "banner")):
        assert f'{key} = "https://raw.githubusercontent.com/{registry.address()}/main/docs/{name}.png"' in text
        with Image.open(ROOT / "docs" / f"{name}.png") as image:
            assert (image.format, image.size) == ("PNG", registry.PICTURES[name])
    pinned = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and ">=" not in line]
    assert not pinned, "lower bounds only"
    assert not re.search(r"^(torch|transformers|diffusers)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def test_the_repositorys_address_stands_in_full_and_is_changed_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [name for name in registry.places() if not name.startswith(("tests/", "tools/"))]
    assert {"pyproject.toml", ".github/ISSUE_TEMPLATE/config.yml"} <= set(places)
    for name in places:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(registry, "places", lambda: places)
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    before = registry.address()
    registry.move("https://github.com/some-body/some.where.git")
    assert registry.address() == "some-body/some.where"
    for name in places:
        assert f".com/{before}" not in (tmp_path / name).read_text(encoding="utf-8"), name
    urls = dict(re.findall(r'^"?([A-Z][\w ]+?)"? = "(https://[^"]+)"', (tmp_path / "pyproject.toml").read_text(), re.M))
    assert {"Homepage", "Repository", "Documentation", "Bug Tracker", "Icon", "Banner"} <= urls.keys()
    assert all("/some-body/some.where" in url for url in urls.values())
    with pytest.raises(SystemExit, match="expected an address such as"):
        registry.move("git@github.com:some-body/somewhere")


def test_the_archive_opens_and_its_json_is_json(files: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(tmp_path / "zoetrope.zip")) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == files
        for name in files:
            if name.endswith(".json"):
                json.loads(archive.read(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["comfy-test", "lint", "--check", "javascript", "--strict"], ["comfy", "--skip-prompt", "node", "validate"]],
    ids=" ".join,
)
def test_the_ecosystems_own_checkers_are_content(command: list[str]) -> None:
    """What they ask for beside our own tests: no shared page is written to, names are ours, everything prints on Windows."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed (pip install comfy-test comfy-cli, in an environment of their own)")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_every_package_is_installed_and_every_data_folder_is_there() -> None:
    """The list in pyproject.toml is written by hand, because the checkout itself is the package."""
    settings = (ROOT / "pyproject.toml").read_text()
    listed = set(re.search(r"^packages = \[\n(.*?)^\]", settings, re.S | re.M)[1].replace('"', "").replace(",", "").split())  # type: ignore[index]
    others = {".venv", ".venv-oldest", "tests", "tools", "benchmarks", "node_modules", "build"}
    found = [path.relative_to(ROOT).parent.parts for path in ROOT.rglob("__init__.py")]
    assert listed == {".".join(("zoetrope", *parts)) for parts in found if not others & set(parts)}
    for package, pattern in re.findall(r'^"zoetrope\.([\w.]+)" = \["([\w./*]+)"', settings, re.M):
        assert list((ROOT / package.replace(".", "/")).glob(pattern)), f"{package}: {pattern}"
