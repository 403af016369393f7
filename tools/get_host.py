"""`make host`: installs a ComfyUI for host tests, and its requirements into this environment.

--source   a ComfyUI checkout or a git URL; empty: the existing one, else comfy-cli installs the current version
--name     folder name under ~/.cache/zoetrope; a second host (ComfyUI-0.25) needs another name. `make test` runs on every host
           named ComfyUI*; one that is used only by name (COMFYUI_PATH=...) goes deeper: extra/ComfyUI-0.33
--torch    matching versions of torch, torchvision and torchaudio; hosts import all three
"""

import argparse
import subprocess
import sys
from pathlib import Path

from hosting import CACHE, packages, version

PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def fetch(source: str, target: Path) -> None:
    """Makes `target` a ComfyUI: a link to a checkout, a clone of a repository, or comfy-cli's installation."""
    if (target / "main.py").is_file():
        print(f"{target} exists")
    elif source and (Path(source) / "main.py").is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(Path(source).resolve())
    elif source:
        run(
            "git",
            "clone",
            "--quiet",
            source,
            str(target),
            remedy="SOURCE must be a ComfyUI checkout or a git URL that git can reach",
        )
    else:
        run(*PIP, "comfy-cli", remedy="give SOURCE=<path or URL> instead")
        comfy = str(Path(sys.executable).parent / "comfy")
        install = ("--skip-prompt", f"--workspace={target}", "install", "--cpu")
        run(comfy, *install, remedy="comfy-cli could not install ComfyUI; give SOURCE=<path or URL> instead")


def run(*command: str, remedy: str) -> None:
    """Runs a command; exits with the remedy where it fails."""
    if subprocess.call(command):
        sys.exit(f"make host: {command[0]} failed. {remedy}")


def requirements(host: Path, torch: str) -> None:
    """Installs the host's requirements.

    Frontend and templates are installed beside the host, so that each host has its own version. For a host that is used by name
    only, so is everything that it pins to one version: this environment has the versions that the other hosts pin.
    """
    lines = [line.strip() for line in (host / "requirements.txt").read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    by_name = host.parent != CACHE
    pinned = [line for line in lines if "==" in line and (by_name or line.startswith("comfyui-"))]
    shared = [line for line in lines if line not in pinned and line not in ("torch", "torchvision", "torchaudio")]
    print(f"installing {torch} (matching versions) and ComfyUI's requirements into this environment", flush=True)
    run(*PIP, *torch.split(), *shared, remedy="the requirements could not be installed")
    run(sys.executable, "-c", "import torch, torchvision, torchaudio", remedy=f"{torch} do not go together; choose HOST_TORCH=")
    if lacking := [line for line in pinned if not beside(host, line)]:
        target = ("--upgrade", "--target", str(packages(host)))  # a target's older version is replaced only so
        run(*PIP, *target, *lacking, remedy=f"{', '.join(lacking)} could not be installed")


def beside(host: Path, requirement: str) -> bool:
    """Whether the host's package folder has exactly this version of a package."""
    name, _, pinned = requirement.partition("==")
    return (packages(host) / f"{name.strip().replace('-', '_')}-{pinned.strip()}.dist-info").is_dir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="")
    parser.add_argument("--name", default="ComfyUI")
    parser.add_argument("--torch", required=True)
    arguments = parser.parse_args()
    target = CACHE / arguments.name
    fetch(arguments.source, target)
    requirements(target, arguments.torch)
    print(f"ComfyUI {version(target)} is ready for the host tests")
