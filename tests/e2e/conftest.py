"""Real servers that several files share."""

from collections.abc import Iterator

import pytest
import torch
from picture_graphs import HOSTS
from real_server import Server, serve
from safetensors.torch import save_file


@pytest.fixture(scope="module", **HOSTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "models" / "loras").mkdir(parents=True)
    place = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_q"
    factors = {f"{place}.lora_down.weight": torch.ones(2, 64) * 0.1, f"{place}.lora_up.weight": torch.ones(64, 2) * 0.1}
    save_file(factors, folder / "models" / "loras" / "l.safetensors")
    with serve(request.param, folder) as running:
        yield running


@pytest.fixture(scope="module", **HOSTS)
def page_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the pack under a name without dots: of others the frontend finds no help pages (docs/hosts.md)."""
    with serve(request.param, tmp_path_factory.mktemp("host"), "zoetrope") as running:
        yield running
