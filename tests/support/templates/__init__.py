"""The shipped workflows, as they are drawn: `python -m templates URL [URL ...]` in tests/support, with running servers."""

from .demo import DEMO
from .own import OWN

WORKFLOWS = sorted((*DEMO, *OWN), key=lambda one: one.name)
