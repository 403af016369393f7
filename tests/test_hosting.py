"""Which ComfyUI a test run takes, and where its own packages lie (tools/hosting.py, tools/get_host.py)."""

from pathlib import Path

import get_host
import hosting
import pytest


def put(host: Path) -> Path:
    host.mkdir(parents=True)
    (host / "comfyui_version.py").write_text('__version__ = "0.33.0"\n')
    return host


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hosting, "CACHE", tmp_path)
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    return tmp_path


def test_a_host_deeper_down_is_taken_only_by_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, deeper = put(cache / "ComfyUI"), put(cache / "extra" / "ComfyUI-0.33")
    assert usual in hosting.found_hosts()
    assert deeper not in hosting.found_hosts()
    monkeypatch.setenv("COMFYUI_PATH", str(deeper))
    assert hosting.found_hosts() == [deeper]
    assert hosting.version(deeper) == "0.33.0"
    assert hosting.packages(deeper) == cache / "extra" / "ComfyUI-0.33.packages"


def test_pinned_packages_go_beside_their_host_and_all_others_into_the_environment(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, commands = put(cache / "extra" / "ComfyUI-0.33"), []
    (host / "requirements.txt").write_text(
        "comfyui-frontend-package==1.49.6\ncomfy-kitchen==0.2.31\ntorch\n# more\nav>=16.0.0\n"
    )
    (hosting.packages(host) / "comfy_kitchen-0.2.30.dist-info").mkdir(parents=True)
    (hosting.packages(host) / "comfyui_frontend_package-1.49.6.dist-info").mkdir()
    monkeypatch.setattr(get_host, "run", lambda *command, remedy: commands.append(command))
    get_host.requirements(host, "torch==2.11.0")
    environment, _, own = commands
    assert environment[-2:] == ("torch==2.11.0", "av>=16.0.0")
    assert own[-3:] == ("--target", str(hosting.packages(host)), "comfy-kitchen==0.2.31")
