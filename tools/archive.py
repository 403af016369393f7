"""The archive that the registry would publish: what git holds, less what .comfyignore leaves out."""

import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def published() -> list[str]:
    """Paths of the archive's files, new ones before they are committed too; none where the checkout is no git repository."""
    held = _git("ls-files", "--cached", "--others", "--exclude-standard")
    left_out = set(_git("ls-files", "--cached", "--others", "--ignored", "--exclude-from=.comfyignore"))
    return sorted(name for name in set(held) - left_out if (ROOT / name).is_file())


def _git(*command: str) -> list[str]:
    done = subprocess.run(["git", *command, "-z"], cwd=ROOT, capture_output=True, check=False)
    return [name for name in done.stdout.decode().split("\0") if name]


def pack(target: Path) -> Path:
    """Writes the archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in published():
            archive.write(ROOT / name, name)
    return target
