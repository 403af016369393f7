"""Global motion, and dense flow without OpenCV, on films whose motion is known."""

import pytest
import torch
from old_films import textured
from zoetrope.video.damage.scratches import lines_at, scratched
from zoetrope.video.frames.lucas_kanade import dense_flow
from zoetrope.video.frames.registration import Motion, global_motion, still


@pytest.mark.parametrize("speed", [(0.3, -0.2), (2.7, 1.4), (-6.0, 3.0)])
def test_a_pan_is_measured_within_a_sixteenth_of_a_pixel(speed: tuple[float, float]) -> None:
    before, after = textured(2, speed=speed)
    found = global_motion(before, after)
    assert (found.shift + torch.tensor(speed)).abs().max() < 0.0625
    assert found.slope.abs().max() < 1e-3
    flow = dense_flow(before, after)[:, 12:-12, 12:-12]
    assert (flow + torch.tensor(speed)[:, None, None]).abs().median() < 0.1


def test_scratches_things_that_move_and_exposure_do_not_disturb_it() -> None:
    before, after = textured(2, speed=(1.5, 0.5))
    before, after = (scratched(one, lines_at(3, n, 4.0)) for n, one in enumerate((before, after)))
    after = (0.85 * after + 0.05).clone()
    after[:, 20:50, 30:70] = after[:, 20:50, 40:80].clone()
    assert (global_motion(before, after).shift + torch.tensor([1.5, 0.5])).abs().max() < 0.06


def test_motions_are_joined_and_inverted() -> None:
    one = Motion(torch.tensor([2.0, -1.0]).double(), torch.tensor([[0.02, 0.01], [-0.01, 0.03]]).double())
    other = Motion(torch.tensor([-0.5, 4.0]).double(), torch.tensor([[0.0, -0.02], [0.02, 0.0]]).double())
    back = one.then(other).then(other.inverse()).then(one.inverse())
    assert torch.allclose(back.flow((20, 30)), still().flow((20, 30)), atol=1e-6)
    assert still().flow((4, 6)).abs().max() == 0


def test_a_blank_picture_does_not_move() -> None:
    assert global_motion(torch.zeros(3, 64, 64), torch.zeros(3, 64, 64)).shift.abs().max() == 0
    assert dense_flow(torch.zeros(3, 30, 40), torch.zeros(3, 30, 40)).abs().max() == 0
