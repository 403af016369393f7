"""Coherent tail in a shot of the host: resumed to the bit, off in journals of before, interrupted by hard cuts."""

from typing import Any

import pytest
import torch
from host_shots import WINDOW, all_latents
from zoetrope.shots.journal import Journal

pytestmark = pytest.mark.host


def test_a_shot_made_longer_has_the_same_bits(film: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    queue = QueueSettings(window=WINDOW, partitions=2, context=1, coherent_tail=0.6)
    whole = all_latents(film(14, "whole", queue=queue)[0], 14)
    for frames in (3, 9):
        film(frames, queue=queue)
    shot, reason = film(14, queue=queue)
    assert (reason, shot.resumed) == ([], 9)
    assert torch.equal(all_latents(shot, 14), whole)
    assert Journal.open(shot.video.parent).settings["coherent tail"] == 0.6

    plain, reason = film(14, "whole")  # another shot, with the settings of before
    assert "coherent tail" not in Journal.open(plain.video.parent).settings
    assert any("coherent tail" in line for line in reason)
    assert not torch.allclose(all_latents(plain, 14)[WINDOW * 2 :], whole[WINDOW * 2 :], atol=1e-3)


def test_hard_cuts_of_the_positive_prompt_are_found(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.conditioning.per_frame import CUE, TimelinePart
    from zoetrope.hosts.comfyui.conditioning.timeline import cuts_of
    from zoetrope.sampling.timeline import read_timeline

    def conditions(text: str) -> list[dict[str, Any]]:
        cues = read_timeline(text)
        return [{CUE: TimelinePart(cues, index)} for index in range(len(cues))]

    text = "0: a / 8: b / 16: c ~4 / 24: c / 32: a"
    assert cuts_of({"positive": conditions(text), "negative": conditions("0: x / 5: y")}) == {8, 32}
    assert cuts_of({"positive": [{}], "middle": conditions("0: x / 5: y")}) == {5}
    assert cuts_of({}) == frozenset()
