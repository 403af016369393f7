"""What would be published: the archive's files, and what they must not do."""

import ast
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from archive import ROOT, pack, published

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
                named = {alias.name for alias in node.names}
                harmless = (node.module, named) == ("pickle", {"UnpicklingError"})  # to say why a file is refused
                assert harmless or (node.module or "").partition(".")[0] not in FORBIDDEN_IMPORTS, name
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
                plain = isinstance(node.func, ast.Name)
                risky = called in FORBIDDEN_CALLS and (
                    plain or called not in ("eval", "compile")
                )  # module.eval(), re.compile()
                assert not risky, f"{name}, line {node.lineno}: {called}"
                if called == "load" and ast.unparse(node.func) == "torch.load":
                    assert "weights_only=True" in ast.unparse(node), f"{name}, line {node.lineno}"


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
    for key in ("Icon", "Banner"):
        assert (ROOT / re.findall(rf'^{key} = "([^"]+)"', text, re.MULTILINE)[0]).is_file()
    pinned = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and ">=" not in line]
    assert not pinned, "lower bounds only"
    assert not re.search(r"^(torch|transformers|diffusers)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


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
