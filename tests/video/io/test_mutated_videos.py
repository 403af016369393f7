"""A thousand damaged videos: no crash, no hang, no bare error, and "copy it again" only where bytes are wrong."""

import json
import random
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_files import made
from odd_list import FILES

pytest.importorskip("av")

READER = Path(__file__).parents[2] / "support" / "read_videos.py"
SLOWEST = 30
"""Seconds for one file."""
KINDS = [
    "trimmed_phone", "turned_and_mirrored", "clean_aperture", "edits_in_pieces", "late_sound_mp4", "prores_alpha",
    "gap_in_sound", "browser", "broadcast", "dvd", "avi_b_frames", "flv", "wmv", "gif", "webp", "apng", "y4m", "raw_mpeg2",
    "raw_mjpeg", "raw_h264",
]  # fmt: skip
NOT_DAMAGED = ("trimmed_phone", "trimmed_mov", "edits_in_pieces", "edits_that_wait", "begins_in_mid_group", "browser")


def flipped(data: bytes, draw: random.Random) -> bytes:
    held = bytearray(data)
    for _ in range(draw.choice((1, 2, 8, 64))):
        held[draw.randrange(len(held))] = draw.randrange(256)
    return bytes(held)


def flipped_early(data: bytes, draw: random.Random) -> bytes:
    """Where most containers have their index."""
    return flipped(data[:600], draw) + data[600:]


def flipped_late(data: bytes, draw: random.Random) -> bytes:
    return data[:-2000] + flipped(data[-2000:], draw)


def truncated(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def zeroed(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    stop = min(len(data), start + draw.choice((16, 400, len(data))))
    return data[:start] + bytes(stop - start) + data[stop:]


def repeated(data: bytes, draw: random.Random) -> bytes:
    start, size = draw.randrange(len(data)), draw.choice((4, 188, 1000))
    return data[:start] + data[start : start + size] + data[start:]


def boxes_swapped(data: bytes, draw: random.Random) -> bytes:
    """Two boxes of an MP4 exchanged, at the top or in the index; other files in thirds."""
    begin, end = 0, len(data)
    if (found := data.find(b"moov")) > 0 and draw.random() < 0.6:
        begin, end = found + 4, found - 4 + struct.unpack(">I", data[found - 4 : found])[0]
    pieces, at = [], begin
    while at + 8 <= end:
        size = struct.unpack(">I", data[at : at + 4])[0]
        if size < 8:
            break
        pieces.append(data[at : min(end, at + size)])
        at += size
    if data[4:8] != b"ftyp" or len(pieces) < 2:
        third = len(data) // 3
        return data[third : 2 * third] + data[:third] + data[2 * third :]
    draw.shuffle(pieces)
    return data[:begin] + b"".join(pieces) + data[end:]


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    flipped, flipped, flipped_early, flipped_late, truncated, zeroed, repeated, boxes_swapped,
]  # fmt: skip


def read_all(paths: list[Path]) -> list[dict[str, Any]]:
    """What became of each, read by another process."""
    text = "".join(f"{path}\n" for path in paths)
    done = subprocess.run(
        [sys.executable, str(READER)], input=text, capture_output=True, text=True, timeout=120 + SLOWEST * len(paths) / 10
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"crashed at {paths[len(found)] if len(found) < len(paths) else '?'}: {done.stderr[-500:]}"
    return found


def judge(found: dict[str, Any]) -> str:
    """What is wrong with an outcome; empty where nothing is."""
    said = str(found.get("said", ""))
    if found["seconds"] > SLOWEST:
        return f"took {found['seconds']:.0f} s"
    if not said:
        return ""
    if found["error"] != "ValueError" or not said.startswith(Path(found["path"]).name) or len(said) > 700:
        return "is no error that names the file"
    blamed = "copy it again" in said
    return (
        "is told to be copied without a reason"
        if blamed and not ("missing" in said or "damaged" in said or "empty" in said)
        else ""
    )


def mutated(folder: Path, count: int, seed: int) -> list[Path]:
    draw, sound = random.Random(seed), {}
    for name in KINDS:
        path = made(FILES[name], folder, name)
        sound[path.suffix, name] = path.read_bytes()
    paths = []
    for number in range(count):
        suffix, name = draw.choice(sorted(sound))
        mutation = draw.choice(MUTATIONS)
        path = folder / f"{number:04}_{mutation.__name__}_{name}{suffix}"
        path.write_bytes(mutation(sound[suffix, name], draw))
        paths.append(path)
    return paths


def tried(folder: Path, count: int, seed: int) -> None:
    outcomes = read_all(mutated(folder, count, seed))
    wrong = [(Path(one["path"]).name, why, one) for one in outcomes if (why := judge(one))]
    print(Counter("refused" if "said" in one else "read" for one in outcomes), max(one["seconds"] for one in outcomes))
    assert not wrong, "\n".join(map(str, wrong))


def test_sound_files_are_never_told_to_be_copied(tmp_path: Path) -> None:
    outcomes = read_all([made(FILES[name], tmp_path, name) for name in NOT_DAMAGED])
    assert [one.get("said", "") for one in outcomes] == [""] * len(NOT_DAMAGED)
    assert all(one["frames"] > 3 for one in outcomes)


def test_some_damaged_videos_are_read_or_refused_in_words(tmp_path: Path) -> None:
    tried(tmp_path, 60, 1)


@pytest.mark.slow
def test_a_thousand_damaged_videos_are_read_or_refused_in_words(tmp_path: Path) -> None:
    tried(tmp_path, 1000, 20261128)
