"""Meters against values that were computed by hand or with another library, in memory that does not grow."""

import numpy as np
import pytest
import torch
from layers import noise
from torch import Tensor
from torch.nn.functional import conv2d
from zoetrope.demo.world import draw, film
from zoetrope.video.quality.clip_metrics import measure
from zoetrope.video.quality.frechet import frechet_distance, gaussian_distance, inception_score
from zoetrope.video.quality.interval import paired_interval
from zoetrope.video.quality.meters import FlowMeter, SignalMeter


def shot(frames: int, size: int = 64) -> Tensor:
    return film(draw(torch.Generator().manual_seed(2), motion="moving right", background="grey"), frames, size, 16)


def luma(clip: Tensor) -> Tensor:
    """BT.601 of 8 bits in limited range, stretched to 0 to 255 as FFmpeg does before it measures."""
    weights = torch.tensor([65.481, 128.553, 24.966])[:, None, None]
    return (clip * weights).sum(1).round() * 255 / 219


def test_spatial_and_temporal_information_are_those_of_p910() -> None:
    pytest.importorskip("av", reason="PyAV is not installed: no filters")
    clip = shot(6)
    found = measure(clip, meters=[SignalMeter()]).more
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]
    grey = luma(clip)[:, None]
    edges = (conv2d(grey, sobel).square() + conv2d(grey, sobel.mT).square()).sqrt()
    assert found["SI"] == pytest.approx(edges.flatten(1).std(1, correction=0).tolist(), rel=0.02)
    steps = grey.diff(dim=0).flatten(1).std(1, correction=0).tolist()
    assert found["TI"] == pytest.approx([0, *steps], rel=0.03, abs=0.05)
    assert len(found["blur"]) == len(found["VMAF motion"]) == 6


def test_blur_blocks_and_flashes_raise_their_metrics() -> None:
    pytest.importorskip("av", reason="PyAV is not installed: no filters")
    clip = noise(8, 3, 64, 64).sigmoid()

    def mean(frames: Tensor, name: str) -> float:
        values = measure(frames, meters=[SignalMeter()]).more[name]
        return sum(values) / len(values)

    blocks = clip.unflatten(2, (8, 8)).unflatten(4, (8, 8)).mean((3, 5), keepdim=True).expand(8, 3, 8, 8, 8, 8)
    blocks = blocks.reshape(8, 3, 64, 64)
    assert mean(blocks, "blockiness") > 2 * mean(clip, "blockiness")
    soft = conv2d(clip.reshape(-1, 1, 64, 64), torch.full((1, 1, 5, 5), 0.04), padding=2).reshape(8, 3, 64, 64)
    assert mean(soft, "blur") > 1.2 * mean(clip, "blur")
    flash = (torch.arange(8) % 2).float()[:, None, None, None].expand(8, 3, 64, 64)
    assert mean(flash, "flashing") > 5 * mean(shot(8), "flashing")


def test_a_known_flow_gives_its_own_length_and_the_error_that_is_added() -> None:
    pattern = noise(1, 3, 24, 64)[0].sigmoid()
    clip = torch.stack([pattern.roll(2 * n, -1) for n in range(6)])[..., 16:48]
    frames = list(clip)
    numbers = {id(frame): number for number, frame in enumerate(frames)}

    def flows(one: Tensor, other: Tensor) -> Tensor:
        flow = torch.zeros(2, 24, 32)
        flow[0] = 2.0 * (numbers[id(other)] - numbers[id(one)])
        return flow

    moving = measure(iter(frames), meters=[FlowMeter(flows)])
    assert max(moving.more["warping error"]) < 0.01
    assert moving.more["motion"] == [2.0] * 5
    assert moving.more["uneven motion"] == [0.0] * 4
    assert min(moving.difference) > 10
    beating = [frame + 0.02 * (n % 2) for n, frame in enumerate(frames)]
    numbers |= {id(frame): number for number, frame in enumerate(beating)}
    flickering = measure(iter(beating), meters=[FlowMeter(flows)])
    assert min(flickering.more["warping error"]) == pytest.approx(0.02 * 255, rel=0.01)


def test_opencvs_flow_finds_the_motion_of_the_shape() -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: nothing to compute a flow with")
    from zoetrope.video.frames.flow import flow_between, has_flow

    assert has_flow()
    clip = film(draw(torch.Generator().manual_seed(2), motion="moving right", speed=0.5, x=0.3), 4, 64, 16)
    found = measure(clip, meters=[FlowMeter()])
    assert found.more["warping error"][1] < 0.5 * found.difference[1]
    assert found.more["motion"][1] == pytest.approx(0.5 / 16 * 64, rel=0.25)
    with pytest.raises(ValueError, match="pictures of 16x16 or more, got 8x8"):
        flow_between(clip[0, :, :8, :8], clip[1, :, :8, :8])


def test_frames_are_not_held() -> None:
    """2,000 frames of one size: values are kept, pictures are not."""
    import gc
    import weakref

    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def frames():  # noqa: ANN202
        nonlocal most
        for number in range(2000):
            frame = torch.full((3, 16, 16), number % 7 / 7)
            alive.add(frame)
            most = max(most, len(alive))
            yield frame

    found = measure(frames(), meters=[SignalMeter(), FlowMeter(lambda one, other: torch.zeros(2, 16, 16))])
    gc.collect()
    assert found.frames == 2000
    assert len(found.more["motion"]) == 1999
    assert most <= 5


def test_distances_of_known_gaussians() -> None:
    zero, one = np.zeros(3), np.ones(3)
    wide, narrow = np.diag([4.0, 9.0, 1.0]), np.diag([1.0, 1.0, 1.0])
    assert gaussian_distance(zero, wide, zero, wide) == pytest.approx(0, abs=1e-9)
    assert gaussian_distance(zero, wide, one, narrow) == pytest.approx(3 + 1 + 4)  # |mean|^2 + (2 - 1)^2 + (3 - 1)^2
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    turned = [turn @ covariance @ turn.T for covariance in (wide, narrow)]
    assert gaussian_distance(zero, turned[0], zero, turned[1]) == pytest.approx(5)
    # two dimensions, covariances that do not commute: trace((AB)^(1/2)) = (trace(AB) + 2 det(AB)^(1/2))^(1/2)
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -1.0], [-1.0, 1.0]])
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    assert gaussian_distance(zero[:2], a, zero[:2], b) == pytest.approx(np.trace(a) + np.trace(b) - 2 * root)
    drawn = np.random.default_rng(2).normal(size=(2, 20000, 3)) * np.array([[[2, 3, 1]], [[1, 1, 1]]]) + [[[0]], [[1]]]
    assert frechet_distance(drawn[0], drawn[1]) == pytest.approx(8, rel=0.03)
    with pytest.raises(ValueError, match=r"expected two sets \(n, 3\) with n of 2 or more"):
        frechet_distance(drawn[0], drawn[1][:1])


def test_the_inception_score_is_the_number_of_classes_where_they_are_certain() -> None:
    assert inception_score(np.eye(5)[np.arange(50) % 5]) == pytest.approx(5)
    assert inception_score(np.full((10, 4), 0.25)) == pytest.approx(1)
    with pytest.raises(ValueError, match="rows that sum to 1"):
        inception_score(np.full((10, 4), 0.5))


def test_an_interval_contains_the_true_difference_as_often_as_it_says() -> None:
    chance = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        ends = paired_interval(chance.normal(0.5, 1, 96).tolist(), chance.normal(0, 1, 96).tolist())
        inside += ends[1] <= 0.5 <= ends[2]
    assert 176 <= inside <= 200
    assert paired_interval([2.0] * 32, [0.5] * 32) == pytest.approx((1.5, 1.5, 1.5))
    with pytest.raises(ValueError, match="needs 16 values or more, got 4"):
        paired_interval([1.0] * 4, [0.0] * 4)
