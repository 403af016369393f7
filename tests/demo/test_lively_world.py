"""The lively world: its law, and the detector that reads its truth back from filmed scenes at both sizes."""

from dataclasses import replace

import pytest
import torch
from zoetrope.demo import world
from zoetrope.demo.lively_detector import detect
from zoetrope.demo.lively_world import (
    APART,
    DIRECTIONS,
    GROUNDS,
    WORDS,
    LivelyScene,
    SceneObject,
    apart,
    draw,
    film,
    ground,
    ground_colour,
)
from zoetrope.demo.text import words_of

ONE = SceneObject("red", "circle", "moving up left", 0.02, 0.5, 0.16, 0.4)
TWO = LivelyScene(
    (replace(ONE, size=0.1), SceneObject("blue", "square", "standing still", 0.5, 0.9, 0.1, 0.2)), "sky"
)  # fmt: skip


@pytest.mark.parametrize(("size", "clips"), [(64, 60), (128, 24)])
def test_the_detector_reads_the_truth_back(size: int, clips: int) -> None:
    generator, wrong_shapes, frames = torch.Generator().manual_seed(1), 0, 0
    for _ in range(clips):
        scene = draw(generator)
        found = detect(film(scene, 16, size))
        assert found.background == scene.background
        assert found.counts == (len(scene.objects),) * 16
        for item in scene.objects:
            seen = found.of(item.colour)
            assert seen is not None
            assert (seen.shape, seen.motion) == (item.shape, item.motion)
            away = (seen.track - item.track(torch.arange(16) / world.FPS) + 0.5) % 1 - 0.5
            assert away.norm(dim=-1).max() < 0.03
            assert seen.jerk < 0.02
            wrong_shapes += sum(shape != item.shape for shape in seen.shapes)
            frames += len(seen.shapes)
    assert wrong_shapes <= 0.01 * frames


@pytest.mark.parametrize(("motion", "background"), zip(DIRECTIONS, (GROUNDS * 2)[: len(DIRECTIONS)], strict=True))
def test_every_direction_is_recognised(motion: str, background: str) -> None:
    scene = draw(torch.Generator().manual_seed(2), 2, (motion, "standing still"), background)
    found = detect(film(scene, 8, 64))
    assert [item.motion for item in scene.objects] == [motion, "standing still"]
    assert {item.colour: item.motion for item in found.objects} == {item.colour: item.motion for item in scene.objects}


def test_the_detector_finds_no_object_where_there_is_none_and_no_motion_in_jumps() -> None:
    for kind in GROUNDS:
        found = detect(ground(kind, 64).expand(3, -1, -1, -1))
        assert (found.objects, found.background, found.counts) == ((), kind, (0, 0, 0))
    places = torch.rand(16, 2, generator=torch.Generator().manual_seed(0)).tolist()
    still = replace(ONE, motion="standing still")
    jumps = torch.cat([film(LivelyScene((replace(still, x=x, y=y),), "sea"), 1, 64) for x, y in places])
    assert [item.motion for item in detect(jumps).objects] == ["jumping"]
    brief = torch.cat([film(TWO, 4, 64), film(replace(TWO, objects=TWO.objects[:1]), 12, 64, first=4)])
    found = detect(brief)
    assert [item.colour for item in found.objects] == ["red"], "an object of a quarter of the frames is none of the clip"
    assert found.counts == (2,) * 4 + (1,) * 12


def test_two_objects_differ_in_colour_and_stay_apart() -> None:
    generator = torch.Generator().manual_seed(3)
    for _ in range(30):
        one, other = draw(generator, 2).objects
        assert one.colour != other.colour
        tracks = [item.track(torch.linspace(0, APART, 40)) for item in (one, other)]
        gap = (tracks[0] - tracks[1] + 0.5) % 1 - 0.5
        assert gap.norm(dim=-1).min() > one.size + other.size
    assert not apart(ONE, replace(ONE, motion="standing still", x=0.9, y=0.4))


def test_pairs_that_cannot_stay_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoetrope.demo.lively_world.apart", lambda *_: False)
    with pytest.raises(ValueError, match="moving up and moving down stay apart"):
        draw(torch.Generator(), 2, ("moving up", "moving down"))


def test_captions_name_every_object_in_words_of_the_vocabulary() -> None:
    assert TWO.caption == "a red circle moving up left and a blue square standing still on sky"
    scenes = [draw(torch.Generator().manual_seed(seed)) for seed in range(40)]
    assert {len(scene.objects) for scene in scenes} == {1, 2}
    assert {word for scene in scenes for word in words_of(scene.caption)} <= set(WORDS)


def test_the_picture_is_a_torus_and_time_only_samples_it() -> None:
    assert torch.equal(film(TWO, 20, 64)[12:], film(TWO, 8, 64, first=12))
    assert torch.allclose(film(TWO, 4, 64, fps=4), film(TWO, 8, 64, fps=8)[::2])
    plain = replace(TWO, background="grey")
    moved = replace(plain, objects=tuple(replace(item, x=(item.x + 0.5) % 1, y=(item.y + 0.25) % 1) for item in plain.objects))
    assert torch.allclose(film(plain, 3, 64).roll((16, 32), (2, 3)), film(moved, 3, 64), atol=1e-4)
    for kind in GROUNDS:
        picture = ground(kind, 64)
        inner = max(picture.diff(dim=axis).abs().max().item() for axis in (1, 2))
        edges = [(picture[:, 0] - picture[:, -1]), (picture[:, :, 0] - picture[:, :, -1])]
        assert max(edge.abs().max().item() for edge in edges) <= 1.3 * inner + 1e-6, f"{kind} has a seam"


def test_grounds_differ_and_a_drawing_at_rest_has_no_trail() -> None:
    means = torch.stack([ground_colour(kind) for kind in GROUNDS])
    assert (torch.cdist(means, means) + torch.eye(len(GROUNDS))).min() > 0.15
    scene = LivelyScene((ONE,), "black")
    moving, rest = film(scene, 8, 64, rest=False), film(scene, 8, 64, rest=True)
    assert (moving[0] - rest[0]).abs().max() > 0.1
    assert torch.equal(moving[3:], rest[3:])
    shades = rest[0][:, rest[0][0] > 0.5]
    assert shades[0].std() > 0.03, "objects are shaded"


def test_a_plain_scene_has_the_same_track_here() -> None:
    scene = world.draw(torch.Generator().manual_seed(4), motion="moving down")
    lively = LivelyScene.of(scene)
    times = torch.arange(6) / 8
    assert torch.allclose(lively.objects[0].track(times), world.centre(scene, times))
    assert lively.caption == scene.caption
