"""Whole video UNets in the host."""

from typing import Any

import golden_video


def unet_with_motion(tiny: Any, case: golden_video.VideoCase) -> tuple[Any, Any]:
    layout = dict(case.layout)
    base = tiny.model(layout, case.spatial, groups=layout.pop("groups", 32))
    return base, tiny.host_motion(case.opened.motion, case.opened.report)
