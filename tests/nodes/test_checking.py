"""What no node takes, whoever wrote the graph."""

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

PICTURES = torch.zeros(2, 8, 8, 3)


@pytest.mark.parametrize("value", [True, 3, 1.5, float("nan"), "x", [], {"a": 1}], ids=str)
def test_a_plain_value_where_a_link_belongs_is_refused_by_name(value: Any) -> None:
    from zoetrope.nodes.motion import MotionReport
    from zoetrope.nodes.superres import MatchColour
    from zoetrope.nodes.vae import DecodeVideo
    from zoetrope.nodes.video import VideoMetrics

    with pytest.raises(
        ValueError, match="motion: expected a link .* with an output of type ZOETROPE_MOTION, got .*; connect one"
    ):
        MotionReport.execute(motion=value)
    with pytest.raises(ValueError, match="images: expected a link from a node with an output of type IMAGE, got"):
        MatchColour.execute(images=value, reference=PICTURES, method="adain")
    with pytest.raises(ValueError, match="images: expected a link from a node with an output of type IMAGE or VIDEO, got"):
        VideoMetrics.execute(images=value)
    with pytest.raises(ValueError, match="vae: expected a link from a node with an output of type VAE, got"):
        DecodeVideo.execute(samples={"samples": torch.zeros(1, 4, 8, 8)}, vae=value)


def test_an_input_that_the_node_does_not_have_is_named() -> None:
    from zoetrope.nodes.load import LoadDemoModel
    from zoetrope.nodes.superres import MatchColour

    with pytest.raises(ValueError, match="the inputs do not fit this node: .*'nothing'"):
        LoadDemoModel.execute(nothing=1)
    with pytest.raises(ValueError, match="missing a required argument: 'method'"):
        MatchColour.execute(PICTURES, PICTURES)
    (same,) = MatchColour.execute(PICTURES, PICTURES, "wavelet").args
    assert same.shape == PICTURES.shape


def test_the_host_still_sees_nodes_of_its_own_kind() -> None:
    from comfy_api.latest import io

    from locales import all_nodes

    for node in all_nodes():
        assert issubclass(node, io.ComfyNode)
        assert node.GET_SCHEMA().node_id.startswith("Zoetrope")
        assert node.execute.__doc__ == node.execute.__func__.__wrapped__.__doc__


def image_inputs() -> list[tuple[Any, str]]:
    from locales import all_nodes

    return [
        (node, one.id)
        for node in all_nodes()
        for one in node.define_schema().inputs
        if "IMAGE" in str(one.get_io_type()).split(",")
    ]


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (PICTURES[0], "an axis is missing"), (PICTURES.movedim(-1, 1), "channels come last"), (PICTURES[:0], "got none"),
        (torch.zeros(2, 8, 8, 2), "connect an IMAGE"), (PICTURES.long(), "got int64"),
    ],
    ids=["one axis less", "channels first", "empty", "two channels", "integers"],
)  # fmt: skip
def test_pictures_that_are_none_are_refused_by_every_node_in_the_same_words(pictures: torch.Tensor, words: str) -> None:
    found = image_inputs()
    assert len({node for node, _ in found}) >= 8
    for node, name in found:
        given = {one.id: None for one in node.define_schema().inputs} | {name: pictures}
        with pytest.raises(ValueError, match=rf"^{name}: expected .*{words}"):
            node.execute(**given)


def test_grey_and_bytes_are_pictures() -> None:
    from zoetrope.nodes.superres import MatchColour
    from zoetrope.nodes.video import VideoMetrics

    grey = torch.rand(4, 16, 16, 1)
    coloured = torch.rand(4, 16, 16, 3)
    (matched,) = MatchColour.execute(images=(coloured * 255).round().to(torch.uint8), reference=coloured, method="adain").args
    assert (matched - coloured).abs().mean() < 0.01
    table, *_ = VideoMetrics.execute(images=grey, truth=grey.expand(-1, -1, -1, 3).half()).args
    assert "| metric | clip 1 |" in table


def test_a_temporal_vae_takes_grey_pictures_from_cores_nodes(tiny: Any) -> None:
    from zoetrope.demo.layout import TEMPORAL_VAE, part_path
    from zoetrope.hosts.comfyui.vae.from_file import load_temporal_vae

    vae = load_temporal_vae(str(part_path(TEMPORAL_VAE)))
    with torch.inference_mode():
        assert vae.encode(torch.rand(2, 32, 32, 1)).shape[0] == 2
        with pytest.raises(ValueError, match="pixels: expected pictures"):
            vae.encode(torch.rand(32, 32, 3))
    tiny.unload()
