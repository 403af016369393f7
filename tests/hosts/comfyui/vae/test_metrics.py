"""Metrics of clips with the host's image encoder."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

pytestmark = pytest.mark.host


def test_likeness_is_the_cosine_of_the_encoders_features(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.vae.metrics import MetricsRequest, VisionMeter, metrics_of
    from zoetrope.video.quality.clip_metrics import measure

    vision, clip, reference = tiny.vision(tmp_path), tiny.picture(5), tiny.picture(2, seed=9)
    found = measure((frame.movedim(-1, 0) for frame in clip), meters=[VisionMeter(vision, reference)])
    with torch.inference_mode():
        features = torch.cat([vision.encode_image(frame[None])["image_embeds"] for frame in clip])
        others = torch.nn.functional.normalize(vision.encode_image(reference)["image_embeds"])
    assert found.more["to the previous frame"] == pytest.approx(
        cosine_similarity(features[1:], features[:-1]).tolist(), abs=1e-5
    )
    assert found.more["to the first frame"] == pytest.approx(cosine_similarity(features[1:], features[:1]).tolist(), abs=1e-5)
    expected = cosine_similarity(features, others.mean(0, keepdim=True)).tolist()
    assert found.more["to the reference"] == pytest.approx(expected, abs=1e-5)
    made = metrics_of({"clip 1": clip}, MetricsRequest(vision=vision, reference=reference))
    assert "| to the reference |" in made.table
    assert '"to the first frame"' in made.json
    with pytest.raises(ValueError, match="reference: needs an image encoder; connect clip_vision"):
        metrics_of({"clip 1": clip}, MetricsRequest(reference=reference))
    tiny.unload()
