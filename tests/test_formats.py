"""The archive of key lists: small, packed alike every time, and no older than the folder that it is made from."""

from pathlib import Path

import formats
import pack_formats
import pytest


def test_the_archive_stays_small() -> None:
    size = pack_formats.ARCHIVE.stat().st_size
    assert size <= 150_000, f"{pack_formats.ARCHIVE} has {size} bytes, expected at most 150000"


def test_the_archive_is_the_folder() -> None:
    if not formats.FOLDER.is_dir():
        pytest.skip("shared/formats is not beside the checkout, so the archive cannot be compared with it")
    folder = {path.stem: path.read_bytes() for path in formats.FOLDER.glob("*.json")}
    assert folder.keys() == formats.packed().keys(), "run tools/pack_formats.py on shared/formats"
    changed = [name for name, text in folder.items() if text != formats.packed()[name]]
    assert not changed, f"{changed} differ from shared/formats; run tools/pack_formats.py on it"


def test_packing_does_not_depend_on_order_or_dates(tmp_path: Path) -> None:
    lists = {"b": b'{"keys": {}}', "a": b"{}"}
    for folder, names in (("one", "ab"), ("two", "ba")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.json").write_bytes(lists[name])
        assert pack_formats.pack(tmp_path / folder, tmp_path / f"{folder}.tar.xz") == ["a", "b"]
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()
    assert pack_formats.unpack(tmp_path / "one.tar.xz") == lists


def test_an_unknown_list_is_an_error_and_not_a_skip() -> None:
    with pytest.raises(LookupError, match="no key list 'nobody' in"):
        formats.record("nobody")
