"""A bug of ours in a real server: the artist reads the error that it is, not that a file is damaged."""

from pathlib import Path

import hosting
import pytest
from real_server import error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host]

BUG = """

def build(contents, ops):
    return ops.Linear()


ZOETROPE = replace(ZOETROPE, build=build)
"""


def with_a_bug(pack: Path) -> None:
    """Appends a wrong call to the family of the embedded model."""
    file = pack / "models" / "motion" / "families" / "zoetrope.py"
    head, docstring_end, rest = file.read_text().partition('"""\n\n')
    file.write_text(f"{head}{docstring_end}from dataclasses import replace\n{rest}{BUG}")


@pytest.mark.parametrize("host", hosting.found_hosts(), ids=hosting.version)
def test_the_true_error_is_shown(host: Path, tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "ZoetropeLoadDemoModel", "inputs": {}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    with serve(host, tmp_path, change=with_a_bug) as server:
        shown = error_of(server.run(graph))
    assert "TypeError" in shown
    assert "Linear.__init__() missing" in shown
    assert "download" not in shown.lower()
