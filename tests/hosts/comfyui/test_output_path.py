"""Where a prefix leads, and where it must not."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.host


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    folder = tmp_path / "output"
    folder.mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(folder))
    return folder


def place(prefix: str) -> Any:
    from zoetrope.hosts.comfyui.output_path import output_place

    return output_place(prefix)


def test_a_prefix_is_a_folder_and_a_name_below_output(output: Path) -> None:
    found = place("zoetrope/night/shot")
    assert (found.folder, found.name, Path(found.subfolder)) == (output / "zoetrope" / "night", "shot", Path("zoetrope/night"))
    assert found.folder.is_dir()
    plain = place("film")
    assert (plain.folder, plain.name) == (output, "film")
    assert (place("film/").folder, place("film/.").name) == (output, "film")
    assert place("\u540d\u524d/\u30b7\u30e7\u30c3\u30c8").folder.is_dir()


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("../escape", "expected a folder and a name below ComfyUI's output folder"),
        ("/tmp/zoetrope_escape/x", "below ComfyUI's output folder"),
        ("a/../../escape", "below ComfyUI's output folder"),
        ("link/escape", "outside the output folder, by itself or through a link"),
        ("link/made/deep/x", "outside the output folder, by itself or through a link"),
        ("", "the name after the last slash is missing"),
        ("a" * 300, "300 bytes, at most 200"),
        ("\u540d" * 80, "240 bytes, at most 200"),
        ("x\0y", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        ("..\\..\\escape", "below ComfyUI's output folder"),
        ("film 16:9", ": cannot be in the name of a file or folder on every system"),
        ("what?/x", "? cannot be in the name"),
        ("<a>", "< cannot be in the name"),
        ('"a"', '" cannot be in the name'),
        ("a|b", "| cannot be in the name"),
        ("a*", "* cannot be in the name"),
        ("C:\\film", ": cannot be in the name"),
        ("con/film", "Windows does not allow a folder named 'con'"),
        ("LPT1.old/film", "Windows does not allow a folder named 'LPT1.old'"),
        ("shots./film", "Windows does not allow a folder named 'shots.'"),
        ("shots /film", "Windows does not allow a folder named 'shots '"),
        ("%date:hh:mm%/film", ": cannot be in the name"),
        ("%date%/film", "a date is written %date:yyyy-MM-dd%"),
        ("%KSampler.seed%", "%KSampler.seed% is replaced by ComfyUI's page"),
        ("a/%Empty Latent Image.width%/b", "%Empty Latent Image.width% is replaced by ComfyUI's page"),
    ],
)
def test_what_leads_elsewhere_or_is_no_name_is_refused(output: Path, tmp_path: Path, prefix: str, words: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (output / "link").symlink_to(outside)
    with pytest.raises(ValueError, match="filename_prefix: expected a folder and a name") as refused:
        place(prefix)
    assert words in str(refused.value)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "escape").exists()


def test_an_output_folder_that_is_itself_a_link_is_where_its_owner_wants_it(
    output: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    import folder_paths

    (tmp_path / "alias").symlink_to(output)
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "alias"))
    assert place("zoetrope/shot").folder.resolve() == output / "zoetrope"


def test_dates_are_written_as_the_page_writes_them(output: Path) -> None:
    import time

    from zoetrope.hosts.comfyui.output_path import with_date

    now = time.struct_time((2026, 3, 7, 4, 5, 9, 5, 66, 0))
    for typed, said in (
        ("%date:yyyy-MM-dd%/shot", "2026-03-07/shot"),
        ("a %date:yy.M.d% %date:hh_mm_ss%", "a 26.3.7 04_05_09"),
        ("%date:h-m-s%", "4-5-9"),
        ("%date:yyy%", "yyy"),
        ("%year%/50%", "%year%/50%"),
    ):
        assert with_date(typed, now) == said
    found = place("%date:yyyy-MM-dd%/shot")
    assert found.folder.name in {time.strftime("%Y-%m-%d", time.localtime(time.time() - back)) for back in (0, 60)}
    assert [folder.name for folder in output.iterdir()] == [found.folder.name]


def test_a_backslash_parts_folders_on_every_system(output: Path) -> None:
    assert (place("zoetrope\\night\\shot").folder, place("zoetrope\\night\\shot").name) == (
        output / "zoetrope" / "night",
        "shot",
    )


def test_a_folder_that_cannot_be_made_is_told_with_the_systems_words(output: Path) -> None:
    (output / "taken").write_text("a file")
    with pytest.raises(
        ValueError, match=r"filename_prefix: the folder of 'taken/shot' could not be made below .*; give ComfyUI"
    ):
        place("taken/shot")
