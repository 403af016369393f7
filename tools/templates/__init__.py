"""The shipped workflows, as they are drawn: `python -m templates URL [URL ...]` in tools, with running servers."""

from .demo import DEMO
from .drawing import Workflow
from .larger import LARGER
from .long import LONG
from .own import OWN
from .restore import RESTORE
from .restyle import RESTYLE
from .restyle_video import RESTYLE_VIDEO

WORKFLOWS = sorted((*DEMO, *LONG, *LARGER, *OWN, *RESTYLE, *RESTYLE_VIDEO, *RESTORE), key=lambda one: one.name)


def workflow(name: str) -> Workflow:
    (found,) = [one for one in WORKFLOWS if one.name == name]
    return found
