"""Counting of objects and doubles, on clips of known content."""

import torch
from ghosts import ground, objects, outstanding, overlap
from zoetrope.demo.world import draw, film


def test_one_thing_is_one_also_across_the_edge_and_a_ghost_is_another() -> None:
    scene = draw(torch.Generator().manual_seed(1), motion="moving right", background="black", shape="circle", x=0.2, y=0.5)
    frame = film(scene, 1, 64)[0]
    background = ground(frame[None])
    assert objects(frame, background) == 1
    assert objects(frame.roll(40, -1), background) == 1  # half of it leaves right and enters left
    apart = frame.roll(32, -1)
    assert objects((frame + apart) / 2, background) == 2
    close = (frame + frame.roll(10, -1)) / 2  # a double that overlaps is one thing, but a large one
    assert objects(close, background) == 1
    assert outstanding(close, background).sum() > 1.25 * outstanding(frame, background).sum()


def test_overlap_is_one_for_the_truth_and_falls_with_distance() -> None:
    scene = draw(torch.Generator().manual_seed(2), motion="standing still", background="white")
    truth = film(scene, 3, 64)
    assert torch.equal(overlap(truth, truth), torch.ones(3))
    near, far = (overlap(truth.roll(pixels, -1), truth)[0] for pixels in (2, 10))
    assert 1 > near > far > 0
    assert overlap(truth.roll(32, -1), truth)[0] < 0.1
