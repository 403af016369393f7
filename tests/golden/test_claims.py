"""No golden file lies about unclaimed: each is read by a test, or named as awaiting a later piece of work."""

import golden
import pytest

CLAIMING = ("golden.claim(", "golden.unet_cases(", "golden_video.parameters(", "golden_pictures.parameters(")


def test_every_golden_file_is_claimed_or_awaited(request: pytest.FixtureRequest) -> None:
    readers = {p for p in (golden.ROOT / "tests").rglob("test_*.py") if any(call in p.read_text() for call in CLAIMING)}
    if readers - {item.path for item in request.session.items}:
        pytest.skip("only a part of the suite was collected, so claims are not complete")
    stray = [p.name for p in golden.all_files() if not golden.matches(p, golden.CLAIMED) and not golden.awaited(p)]
    assert not stray, f"no test reads {stray}; claim them with golden.claim(...)"
    both = [p.name for p in golden.all_files() if golden.matches(p, golden.CLAIMED) and golden.awaited(p)]
    assert not both, f"tests read {both}; take their patterns out of golden.AWAITED"


def test_data_in_the_repository_stays_small() -> None:
    tests = golden.ROOT / "tests"
    code = {".py", ".mjs", ".pyc"}
    size = sum(p.stat().st_size for p in tests.rglob("*") if p.is_file() and p.suffix not in code)
    assert size < 16e6, f"tests/ holds {size / 1e6:.1f} MB of data, expected under 16 MB"
