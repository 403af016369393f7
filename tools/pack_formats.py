"""Packs a folder of key lists into the archive that the tests read: `python tools/pack_formats.py FOLDER`."""

import io
import lzma
import sys
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "tests" / "formats" / "key_lists.tar.xz"


def pack(folder: Path, target: Path = ARCHIVE) -> list[str]:
    """Writes every list of the folder, sorted and without dates or owners. Returns their names."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise SystemExit(f"{folder}: expected a folder with key lists, NAME.json each, got none")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in paths:
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    return [path.stem for path in paths]


def unpack(source: Path = ARCHIVE) -> dict[str, bytes]:
    """The text of every list in the archive, by name."""
    with tarfile.open(source, mode="r:xz") as archive:
        members = [(entry, archive.extractfile(entry)) for entry in archive if entry.isfile()]
        return {Path(entry.name).stem: file.read() for entry, file in members if file}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    names = pack(Path(sys.argv[1]))
    print(f"{ARCHIVE}: {len(names)} lists, {ARCHIVE.stat().st_size / 1000:.1f} kB")
