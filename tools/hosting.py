"""Finds a ComfyUI and adds it to the path of this process.

Order: $COMFYUI_PATH, the ComfyUI that encloses the checkout, ~/.cache/zoetrope/ComfyUI*. A host deeper
down (~/.cache/zoetrope/extra/ComfyUI-0.33) is used only where $COMFYUI_PATH names it.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = Path.home() / ".cache" / "zoetrope"


def found_hosts() -> list[Path]:
    """Every ComfyUI checkout that tests may use, the default one first."""
    given = os.environ.get("COMFYUI_PATH")
    candidates = [Path(given)] if given else [ROOT.parent.parent, *sorted(CACHE.glob("ComfyUI*"))]
    return [path for path in candidates if (path / "comfyui_version.py").is_file()]


def version(host: Path) -> str:
    """Version of a ComfyUI checkout."""
    match = re.search(r'__version__ = "([^"]+)"', (host / "comfyui_version.py").read_text())
    return match.group(1) if match else "unknown"


def packages(host: Path) -> Path:
    """Folder of a host's own packages, from `make host`: those that its requirements pin to one version."""
    return host.parent / f"{host.name}.packages"


def enter_host() -> tuple[Path | None, str]:
    """Imports the default host's package. Returns its path, or None and the reason why host tests will skip."""
    hosts = found_hosts()
    if not hosts:
        return None, "no ComfyUI found: `make host SOURCE=<path or URL>` puts one where tests look"
    import torch

    sys.path[:0] = [str(hosts[0]), str(packages(hosts[0]))]  # before the environment, whose packages are another host's
    try:
        from comfy.cli_args import args

        args.cpu = not torch.cuda.is_available()
        import comfy.sd  # noqa: F401
        import comfy_api.latest  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        del sys.path[:2]
        for name in [n for n in sys.modules if n.partition(".")[0] in {"comfy", "comfy_api", "comfy_execution"}]:
            del sys.modules[name]
        return None, f"ComfyUI {version(hosts[0])} found, but it cannot be imported here ({error}): run `make host`"
    return hosts[0], ""
