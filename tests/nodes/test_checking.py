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

    with pytest.raises(ValueError, match="motion: expected a link from a node that gives ZOETROPE_MOTION, got .*; connect one"):
        MotionReport.execute(motion=value)
    with pytest.raises(ValueError, match="images: expected a link from a node that gives IMAGE, got"):
        MatchColour.execute(images=value, reference=PICTURES, method="adain")
    with pytest.raises(ValueError, match="images: expected a link from a node that gives IMAGE or VIDEO, got"):
        VideoMetrics.execute(images=value)
    with pytest.raises(ValueError, match="vae: expected a link from a node that gives VAE, got"):
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
