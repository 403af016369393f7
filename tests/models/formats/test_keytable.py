"""Key tables: what rows do forth and back, and mistakes of a table's author that are refused at once."""

from typing import Any

import pytest
import torch
from torch import nn
from zoetrope.models.backbones.unet import BASES, check_site, sees, sites_of
from zoetrope.models.formats.keytable import Drop, KeyTable, Row, Take, prefixed, product, same
from zoetrope.models.layers.blend import Residual
from zoetrope.models.layers.positions import NoPositions
from zoetrope.models.layers.temporal import FrameAttention, TemporalConv, TemporalLayer
from zoetrope.models.layers.tokens import InBlockAttention
from zoetrope.models.motion.family import Variant
from zoetrope.models.motion.module import MotionModule

TABLE = KeyTable(
    (
        *product((Row("m.{}.layers.{}.", "down.{}.{}.out."),), same("norm.weight")),
        Row("m.first", "unet:first", Take(1, 0, 4)),
        Row("m.first", "image:first", Take(1, 4, None)),
        Row("m.flat", "flat", Drop(-1)),
        Row("vae.{*}", "vae:{*}"),
    )
)


def test_rows_rename_cut_drop_and_pass_on_and_come_back() -> None:
    first = torch.arange(2 * 9.0).reshape(2, 9)
    tensors = {
        "m.3.layers.12.norm.weight": torch.ones(4), "m.first": first, "m.flat": torch.ones(3, 2, 1), "vae.a.b.7": torch.ones(1),
        "stray": torch.ones(1),
    }  # fmt: skip
    ours, unexpected = TABLE.rename(tensors)
    assert unexpected == ["stray"]
    assert set(ours) == {"down.3.12.out.norm.weight", "unet:first", "image:first", "flat", "vae:a.b.7"}
    assert torch.equal(ours["unet:first"], first[:, :4])
    assert ours["flat"].shape == (3, 2)
    back = TABLE.restore(ours)
    assert {key: value.shape for key, value in back.items()} == {k: v.shape for k, v in tensors.items() if k != "stray"}
    assert torch.equal(back["m.first"], first)


def test_a_key_that_two_rows_match_is_refused_by_name() -> None:
    table = KeyTable((Row("enc.{}.w", "down.{}.w"), Row("enc.4.w", "mid.w")))
    with pytest.raises(ValueError, match=r"enc\.4\.w: two rows of the key table match \('enc\.\{\}\.w' -> 'down"):
        table.rename({"enc.4.w": torch.ones(1)})
    assert table.rename({"enc.3.w": torch.ones(1)})[0].keys() == {"down.3.w"}


def test_a_tensor_that_is_not_what_its_row_promises_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"m\.flat: expected size 1 at axis 1, got shape \[3, 2\]"):
        TABLE.rename({"m.flat": torch.ones(3, 2)})
    with pytest.raises(ValueError, match=r"m\.first: "):
        TABLE.rename({"m.first": torch.ones(3, 2)})


def test_slots_must_match_and_prefixes_stand_before_the_published_side() -> None:
    with pytest.raises(ValueError, match="equally many {} on both sides"):
        Row("a.{}", "b")
    assert prefixed((Row("a", "b", Drop(0)),), "p.", "q.") == (Row("p.a", "q.b", Drop(0)),)


def test_only_places_that_a_unet_has_are_sites() -> None:
    for base in BASES:
        for site in sites_of(base):
            check_site(site)
    for wrong in ("down.0.0.before_f", "down.0.out", "middle.attention", "mid.0.before_ff", "up.1.1", "inputs"):
        with pytest.raises(ValueError, match="is not a site"):
            check_site(wrong)
    assert [sees(site) for site in ("time", "up.0.1.before_ff", "mid.block", "mid.attention")] == [
        "rows", "tokens", "tokens", "pictures",
    ]  # fmt: skip


def test_a_layer_at_a_place_that_shows_it_something_else_is_refused() -> None:
    tokens: TemporalLayer = InBlockAttention(FrameAttention(32, 1, 32, NoPositions(), nn), 32, nn)
    pictures: TemporalLayer = TemporalConv(32, 1, Residual(), nn)
    MotionModule({"mid.before_ff": tokens, "mid.0.resnet": pictures}, None)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"mid.attention": tokens}, "mid.attention: expected a layer for pictures, got InBlockAttention"),
        ({"mid.block": pictures}, "mid.block: expected a layer for tokens, got TemporalConv"),
    ]
    for layers, message in wrong:
        with pytest.raises(ValueError, match=message):
            MotionModule(layers, None)


def test_bases_are_named_as_in_the_list() -> None:
    with pytest.raises(ValueError, match="bases: expected names of models/backbones/unet.py's BASES, got sd1"):
        Variant("v", 8, None, None, (), (), bases=("sd1",))
