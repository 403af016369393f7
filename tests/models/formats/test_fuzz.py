"""Three thousand damaged files: each loads as it was, or is refused as a ValueError that names it. Never anything else."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layers import own_motion
from safetensors.torch import save_file
from zoetrope.models.backbones.unet import Base, sites_of
from zoetrope.models.motion.loading import load_motion

pytestmark = pytest.mark.slow

TINY = {s: w for s, w in sites_of(Base("tiny", (32,), 1, (True,), 16)).items() if not s.endswith("out")}
LAYERS = {site for site in TINY if site.endswith(("resnet", "attention"))}


@pytest.fixture(scope="module", params=[".safetensors", ".ckpt"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("fuzz") / f"m{request.param}"
    weights = {key: value.contiguous() for key, value in own_motion(TINY).state_dict().items()}
    save_file(weights, path) if request.param == ".safetensors" else torch.save(weights, path)
    return path, path.read_bytes()


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_refused_by_name_or_does_no_harm(sound: tuple[Path, bytes], data: st.DataObject) -> None:
    path, content = sound
    damaged = bytearray(content)
    # most structure is in the first pages and the last: aim there as often as at the middle
    near = st.one_of(st.integers(0, min(8000, len(content) - 1)), st.integers(max(0, len(content) - 8000), len(content) - 1))
    place = st.one_of(near, st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(place)
        kind = data.draw(st.sampled_from(("flip", "cut", "insert", "remove")))
        if kind == "flip" and where < len(damaged):
            damaged[where] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del damaged[where:]
        elif kind == "insert":
            damaged[where:where] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            del damaged[where : where + data.draw(st.integers(1, 64))]
    target = path.with_stem("damaged")
    target.write_bytes(bytes(damaged))
    refusal = ""
    try:
        widths = load_motion(target)[0].widths
    except ValueError as error:
        refusal, widths = str(error), {}
    assert "damaged" in refusal or set(widths) == LAYERS
