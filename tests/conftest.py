"""Gives the checkout its one import name, `zoetrope`, as the host does under a name of its own; finds host and golden files."""

from typing import Any

import golden
import hosting
import parity
import pytest
import torch
from naming import name_the_checkout

HOST, WHY_NO_HOST = hosting.enter_host()

name_the_checkout()
torch.set_num_threads(1)  # the networks are tiny, and a second thread spins where other work wants the core
torch.backends.cuda.matmul.allow_tf32 = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("host") and not HOST:
            item.add_marker(pytest.mark.skip(reason=WHY_NO_HOST))


CLAIMS: list[set[str]] = []
"""Of the processes that ran the tests, where there are several: each collects all of them, the first one's will do."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["claimed"] = sorted(golden.CLAIMED)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    CLAIMS.append(set(getattr(node, "workeroutput", {}).get("claimed", ())))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    files = golden.all_files()
    patterns = golden.CLAIMED | (CLAIMS[0] if CLAIMS else set())
    claimed = [p for p in files if golden.matches(p, patterns) and not golden.awaited(p)]
    awaited = [p for p in files if golden.awaited(p)]
    skipped = sum(WHY_NO_HOST in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    where = f"on ComfyUI {hosting.version(HOST)}" if HOST else f"{skipped} SKIPPED, {WHY_NO_HOST}"
    terminalreporter.write_line(f"golden files: {len(claimed)} claimed by tests, {len(awaited)} await later work")
    terminalreporter.write_line(f"host tests: {where}")
    parity.write_rows()


@pytest.fixture
def tiny():  # noqa: ANN201
    """The helpers that need a host, imported only where there is one (tests/support/tiny_host.py)."""
    import tiny_host

    return tiny_host


@pytest.fixture
def base(tiny):  # noqa: ANN001, ANN201
    """A tiny random image model of the host, out of its memory again after the test."""
    yield (patcher := tiny.model())
    del patcher
    tiny.unload()
