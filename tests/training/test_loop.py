"""The training loop: configurations, resuming to the same bits, two processes."""

import json
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from PIL import Image
from tiny_training import STAGES, tiny_run
from torch import Tensor, nn
from zoetrope.training.demo.config import (
    DecoderRun,
    DitRun,
    FewStepRun,
    ImageRun,
    LivelyImageRun,
    LivelyVaeRun,
    LivelyVideoRun,
    PictureRun,
    SightRun,
    UpscalerRun,
    UpscalerVaeRun,
    VaeRun,
    VideoRun,
    read_config,
)
from zoetrope.training.demo.levels import KINDS
from zoetrope.training.loop import average_gradients, averaged_weights, generators, train


def test_the_shipped_stages_can_be_read() -> None:
    kinds = {path.stem: type(read_config(path)) for path in STAGES.glob("*.json")}
    decoders = {"decoder": DecoderRun, "decoder_whole": DecoderRun}
    pictures = {"sight": SightRun, "picture": PictureRun, "picture_long": PictureRun, "picture_more": PictureRun}
    upscalers = {
        "upscaler_vae": UpscalerVaeRun, "upscaler_vae_whole": UpscalerVaeRun, "upscaler": UpscalerRun,
        "upscaler_video": UpscalerRun, "upscaler_damage": UpscalerRun, "upscaler_damage_video": UpscalerRun,
    }  # fmt: skip
    others = {"vae": VaeRun, "image": ImageRun, "image_long": ImageRun, "video": VideoRun, "video_frozen": VideoRun}
    others |= {"dit": DitRun, "few_steps": FewStepRun}
    lively = {"lively_vae": LivelyVaeRun, "lively_image": LivelyImageRun, "lively_video": LivelyVideoRun}
    assert kinds == {**others, **decoders, **pictures, **upscalers, **lively}
    video = read_config(STAGES / "video.json")
    assert isinstance(video, VideoRun)
    assert sum(video.levels.values()) == pytest.approx(1)
    assert set(video.levels) == set(KINDS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage": "film"}, "expected one of vae, decoder, image, .*, lively_video, got 'film'"),
        ({"sped": 1}, "sped .unknown"),
        ({"seed": None}, "seed .missing"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    fields = {**json.loads((STAGES / "image.json").read_text()), **change}
    (tmp_path / "stage.json").write_text(json.dumps({k: v for k, v in fields.items() if v is not None}))
    with pytest.raises(ValueError, match=f"stage.json: .*{words}"):
        read_config(tmp_path / "stage.json")


def fit_a_line(folder: Path, until: int | None = None, fail_at: int | None = None) -> dict[str, Tensor]:
    """Trains one linear layer towards y = 3x + 1. Returns its weights."""
    torch.manual_seed(0)
    line, calls = nn.Linear(1, 1), 0

    def loss(kind: torch.Generator, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            signal.raise_signal(signal.SIGINT)
        x = torch.randn(32, 1, generator=generator)
        error = (line(x) - 3 * x - 1).square().mean()
        return error, {"error": float(error.detach())}

    train(tiny_run(), {"line": line}, loss, lambda modules: Image.new("RGB", (4, 4)), folder, until)
    return {key: value.clone() for key, value in line.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored where a shell started the suite in the background
    whole = fit_a_line(tmp_path / "whole")
    fit_a_line(tmp_path / "parts", until=5)
    fit_a_line(tmp_path / "parts", fail_at=3)  # Ctrl-C in the middle of a step
    assert "stopped at step 8" in capsys.readouterr().err  # the step was done whole
    assert signal.getsignal(signal.SIGINT) is before
    assert same(fit_a_line(tmp_path / "parts"), whole)
    averages = [averaged_weights(tmp_path / name)["line"] for name in ("whole", "parts")]
    assert same(*averages)
    assert not same(averages[0], whole)
    assert (tmp_path / "whole" / "sheet_000006.png").is_file()
    assert json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])["step"] == 12


def test_another_configuration_does_not_go_on(tmp_path: Path) -> None:
    fit_a_line(tmp_path, until=4)
    line = nn.Linear(1, 1)
    never: Any = None
    with pytest.raises(ValueError, match="rate differ"):
        train(tiny_run(rate=0.02), {"line": line}, never, never, tmp_path)
    with pytest.raises(ValueError, match="no state.pt"):
        averaged_weights(tmp_path / "nowhere")


def one_of_two(rank: int, folder: str) -> None:
    """A process that sees its own data; writes the gradient it was left with."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    line = nn.Linear(2, 1, bias=False)
    kind, data = generators(3, 0)
    value = torch.rand((), generator=data)
    (line.weight.sum() * value).backward()
    average_gradients([*line.parameters(), nn.Parameter(torch.zeros(1))])  # one that this step did not reach
    torch.save((torch.rand((), generator=kind), value, line.weight.grad), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_take_the_same_kind_of_step_on_different_data(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=one_of_two, args=(r, str(tmp_path))) for r in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    (kind, data, gradient), (kind2, data2, gradient2) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert kind == kind2
    assert data != data2
    assert torch.equal(gradient, gradient2)
    assert torch.allclose(gradient, ((data + data2) / 2).expand(1, 2))
