"""The archive for the registry: files in git, without those in .comfyignore."""

import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def published() -> list[str]:
    """Paths of the archive's files, including uncommitted ones; none outside of a git repository."""
    files = _git("ls-files", "--cached", "--others", "--exclude-standard")
    left_out = set(_git("ls-files", "--cached", "--others", "--ignored", "--exclude-from=.comfyignore"))
    return sorted(name for name in set(files) - left_out if (ROOT / name).is_file())


def _git(*command: str) -> list[str]:
    done = subprocess.run(["git", *command, "-z"], cwd=ROOT, capture_output=True, check=False)
    return [name for name in done.stdout.decode().split("\0") if name]


def pack(target: Path) -> Path:
    """Writes the archive to `target` and returns the path."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in published():
            archive.write(ROOT / name, name)
    return target
