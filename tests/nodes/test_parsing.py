"""What artists write into fields, and the dials it becomes."""

import pytest
import torch
from layers import noise
from zoetrope.models.edits.hooks import level_strength
from zoetrope.models.layers.strength import (
    ByFrame,
    check_levels,
    for_rows,
    over_pictures,
    over_rows,
    over_tokens,
    picture_of,
    rows_at,
    where,
)
from zoetrope.nodes.parsing import read_levels, read_list, strength_of


def test_levels_are_read_and_the_longest_name_counts() -> None:
    levels = read_levels(" down: 0.5, mid:0 ,up.3: 1.5, up.3.2: 2")
    assert levels == {"down": 0.5, "mid": 0.0, "up.3": 1.5, "up.3.2": 2.0}
    expected = {"down.0.1.out": 0.5, "mid.attention": 0.0, "up.3.1.resnet": 1.5, "up.3.2.before_ff": 2.0, "up.0.0.out": 1.0}
    expected |= {"time": 1.0, "up.30.0.out": 1.0}
    assert {site: level_strength(site, levels) for site in expected} == expected
    assert read_levels("  ") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("down", "part 1 is 'down'; expected a place and a number"),
        ("down: 1, sideways: 2", "part 2 is 'sideways: 2'"),
        ("down: much", "part 1 is 'much', expected a number"),
        ("down: nan", "expected a finite number"),
        ("down: 1, down: 2", "down is given twice"),
    ],
)
def test_levels_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_levels(text)


def test_numbers_and_masks_multiply() -> None:
    assert read_list("x", "0, 0.5,1") == [0.0, 0.5, 1.0]
    assert strength_of("strength", 0.7, "", None) == 0.7
    ramp = strength_of("strength", 0.5, "0, 2", None)
    assert isinstance(ramp, torch.Tensor)
    assert ramp.flatten().tolist() == [0.0, 1.0]
    masked = strength_of("strength", 2.0, "1, 0.5", torch.full((2, 3, 4), 0.5))
    assert isinstance(masked, torch.Tensor)
    assert masked[:, 0, 0].tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match="strength: the list has 3 values and the mask 2 pictures"):
        strength_of("strength", 1.0, "1, 1, 1", torch.ones(2, 3, 4))
    for text in ("1,,2", "1, one", "1, inf"):
        with pytest.raises(ValueError, match="amount: part"):
            strength_of("amount", 1.0, text, None)
    for text in ("one", "0: 1 / 8: nan", "0: 1 / 8: 1e9"):
        with pytest.raises(ValueError, match="amount, frame .: expected a number from -1000 to 1000, got"):
            strength_of("amount", 1.0, text, None)
    with pytest.raises(ValueError, match="amount: expected frames below 1000000, got 5000000"):
        strength_of("amount", 1.0, "0: 1 / 5000000: 2", None)


def test_a_timeline_of_numbers_goes_by_absolute_frame_and_its_last_one_holds() -> None:
    dial = strength_of("strength", 0.5, "0: 2 / 2: 0 ~1", None)
    assert isinstance(dial, ByFrame)
    assert dial.flatten().tolist() == [1.0, 1.0, 0.5, 0.0]  # cross-faded over one frame
    in_a_clip = for_rows("strength", dial, 12, 6, 2)
    assert isinstance(in_a_clip, torch.Tensor)
    assert in_a_clip.flatten().tolist() == [1.0, 1.0, 0.5, 0.0, 0.0, 0.0] * 2
    two_clips = for_rows("strength", dial, 4, 2, 1)
    assert isinstance(two_clips, torch.Tensor)
    assert two_clips.flatten().tolist() == [1.0, 1.0, 1.0, 1.0]  # each clip begins with frame 0
    in_a_window = for_rows("strength", dial, 3, 3, 1, window=[2, 3, 90])
    assert isinstance(in_a_window, torch.Tensor)
    assert in_a_window.flatten().tolist() == [0.5, 0.0, 0.0]
    assert type(in_a_window) is torch.Tensor
    over = over_pictures(dial, noise(6, 8, 4, 5), 6)
    assert isinstance(over, torch.Tensor)
    assert over[:, 0, 0, 0].tolist() == [1.0, 1.0, 0.5, 0.0, 0.0, 0.0]
    assert type(over) is torch.Tensor
    two_clips_over = over_pictures(dial, noise(4, 8, 4, 5), 2)  # as many rows as values, and yet two clips
    assert isinstance(two_clips_over, torch.Tensor)
    assert two_clips_over[:, 0, 0, 0].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert rows_at(dial, [-3]).flatten().tolist() == [1.0]
    masked = where(torch.ones(1, 4), dial)
    assert isinstance(masked, ByFrame)  # a mask does not change to which frames the numbers belong
    with pytest.raises(ValueError, match="at most 4096 numbers, got 5000"):
        read_list("strength", ",".join(["1"] * 5000))


def test_dials_take_the_shape_of_what_they_multiply() -> None:
    dial = torch.tensor([0.0, 1.0, 0.5]).reshape(3, 1, 1)
    pictures = over_pictures(dial, noise(6, 8, 4, 5), 3)
    assert isinstance(pictures, torch.Tensor)
    assert pictures.shape == (6, 1, 4, 5)
    assert pictures[:, 0, 0, 0].tolist() == [0.0, 1.0, 0.5, 0.0, 1.0, 0.5]
    tokens = over_tokens(dial, noise(6, 6, 8), 3, (8, 12))
    assert isinstance(tokens, torch.Tensor)
    assert tokens.shape == (6, 6, 1)
    rows = over_rows(dial, noise(6, 8), 3)
    assert isinstance(rows, torch.Tensor)
    assert rows.flatten().tolist() == [0.0, 1.0, 0.5, 0.0, 1.0, 0.5]
    assert over_pictures(0.3, noise(6, 8, 4, 5), 3) == 0.3


def test_fewer_numbers_are_spread_evenly_and_masks_are_resized() -> None:
    ramp = over_rows(torch.tensor([0.0, 1.0]).reshape(2, 1, 1), noise(5, 8), 5)
    assert isinstance(ramp, torch.Tensor)
    assert ramp.flatten().tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    left = torch.zeros(1, 16, 16)
    left[:, :, :8] = 1
    small = over_pictures(left, noise(2, 3, 4, 4), 2)
    assert isinstance(small, torch.Tensor)
    assert small[0, 0].tolist() == [[1, 1, 0, 0]] * 4


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (1, 7), (64, 64), (27, 48)])
def test_the_level_is_known_by_its_number_of_pixels(size: tuple[int, int]) -> None:
    h, w = size
    for _ in range(4):
        assert picture_of(h * w, size) == (h, w)
        h, w = -(-h // 2), -(-w // 2)
    with pytest.raises(ValueError, match="expected the tokens of a level of the"):
        picture_of(h * w + 10_000, size)


def numbers(dial: object) -> list[float]:
    assert isinstance(dial, torch.Tensor)
    return dial.flatten().tolist()


def test_lists_are_for_the_batch_or_for_each_clip_and_windows_take_their_part() -> None:
    eight = torch.arange(8.0).reshape(8, 1, 1)
    four = eight[:4]
    assert for_rows("strength", 0.5, 16, 4, 2) == 0.5
    assert numbers(for_rows("strength", eight, 16, 4, 2)) == [*range(8), *range(8)]  # two clips per part, one list for both
    assert numbers(for_rows("strength", four, 16, 4, 2)) == [0, 1, 2, 3] * 4
    assert numbers(for_rows("strength", eight[:2], 8, 4, 1)) == pytest.approx([0, 1 / 3, 2 / 3, 1] * 2)
    assert numbers(for_rows("strength", eight, 4, 4, 1, window=[2, 3, 6, 7])) == [2, 3, 6, 7]
    with pytest.raises(ValueError, match=r"strength: expected 1 value, up to one per frame of a clip \(4\), or 4 .* got 8"):
        for_rows("strength", eight, 4, 4, 1)


def test_an_amount_is_1_where_its_mask_is_black() -> None:
    mask = torch.tensor([[0.0, 1.0]])
    assert where(None, 1.3) == 1.3
    assert numbers(where(mask, 1.3)) == pytest.approx([1.0, 1.3])
    assert numbers(where(mask[None].repeat(2, 1, 1), torch.tensor([0.5, 2.0]).reshape(2, 1, 1))) == [1.0, 0.5, 1.0, 2.0]


def test_levels_without_a_layer_are_refused() -> None:
    sites = ["down.0.0.out", "up.3.2.out", "mid.attention"]
    check_levels({"down": 0.5, "up.3": 1.0, "mid": 0.0}, sites)
    for name in ("up.9", "down.0.7", "time"):
        with pytest.raises(ValueError, match=f"no layer at '{name}'; it has layers at down.0.0, up.3.2, mid"):
            check_levels({name: 0.5}, sites)
