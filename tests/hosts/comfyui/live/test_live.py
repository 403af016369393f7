"""Live Shot in the host: from a video, from a folder, interrupted, replayed, with another prompt while it runs."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from einops import reduce
from PIL import Image
from torch import Tensor

pytestmark = pytest.mark.host


class Vae:
    """A VAE that encodes means of areas and decodes what the tiny one does."""

    def __init__(self, tiny: Any):
        self._tiny = tiny.Vae()
        self.patcher, self.latent_channels = self._tiny.patcher, 4

    def encode(self, pixels: Tensor) -> Tensor:
        small = reduce(pixels[..., :3] * 2 - 1, "n (h a) (w b) c -> n c h w", "mean", a=8, b=8)
        return torch.cat([small, small.mean(1, keepdim=True)], 1)

    def decode(self, latents: Tensor) -> Tensor:
        return torch.cat([self._tiny.decode(latent[None]) for latent in latents])


class Clip:
    """A text encoder whose tokens depend on the text alone."""

    def __init__(self, tiny: Any):
        self._tiny, self.texts = tiny, list[str]()

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, text: str) -> Any:
        self.texts.append(text)
        return self._tiny.text(seed=sum(map(ord, text)))


@pytest.fixture
def live(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """live(**inputs) runs the node with a tiny model with motion layers, on 64 x 64 pixels."""
    import folder_paths
    from zoetrope.nodes.live import LiveShotNode

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    (tmp_path / "input").mkdir()

    def run(strength: float = 0.5, **inputs: Any) -> Any:
        model = tiny.model()
        motion = tiny.own_file(model, tmp_path / "motion.safetensors", seed=1)
        given = {
            "model": tiny.applied(model, motion), "positive": tiny.text(), "negative": tiny.text(seed=2), "vae": Vae(tiny),
            "width": 64, "height": 64, "seed": 3, "strength": strength, "levels": 2, "block": 1, "context": 2,
            "guidance": "remembered negative", "guidance_scale": 1.4, "delta": 0.7, "frames": 0, "fps": 0.0,
            "filename_prefix": "zoetrope/live", **inputs,
        }  # fmt: skip
        node = LiveShotNode.PREPARE_CLASS_CLONE(None)
        with torch.inference_mode():
            return node.execute(**given)

    yield run
    tiny.unload()


def film(path: Path, frames: int) -> Any:
    from zoetrope.hosts.comfyui.api import VideoFromFile
    from zoetrope.video.io.write import write_video

    ramp = torch.linspace(0, 1, 80).expand(3, 48, 80)
    write_video(path, [ramp.roll(number, 2) for number in range(frames)], 12)
    return VideoFromFile(str(path))


def latents_of(folder: Path) -> Tensor:
    from zoetrope.shots.journal import Journal

    state = Journal.open(folder).state()
    assert state is not None
    return state.pending


def test_a_video_is_made_interrupted_and_gone_on_with_to_the_same_bits(
    live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as management
    from films import read_video
    from zoetrope.hosts.comfyui.live.panel import LivePanel

    video, output = film(tmp_path / "in.mp4", 13), tmp_path / "output" / "zoetrope"
    whole = live(video=video, filename_prefix="zoetrope/whole")
    assert len(read_video(Path(whole.args[0].get_stream_source()))[0]) == 13
    shown = LivePanel.shown

    def pressed(self: Any, frame: int, pictures: Tensor) -> None:
        shown(self, frame, pictures)
        if frame == 6:
            management.interrupt_current_processing()

    with monkeypatch.context() as patched:
        patched.setattr(LivePanel, "shown", pressed)
        with pytest.raises(management.InterruptProcessingException):
            live(video=video)
    assert len(read_video(output / "live_00001" / "unfinished.mp4")[0]) == 7
    resumed = live(video=video)
    assert Path(resumed.args[0].get_stream_source()) == output / "live_00001" / "shot_00013_frames.mp4"
    assert torch.equal(latents_of(output / "live_00001"), latents_of(output / "whole_00001"))
    replayed = live(replay="zoetrope/live_00001", filename_prefix="zoetrope/again")
    assert torch.equal(latents_of(output / "again_00001"), latents_of(output / "whole_00001"))
    assert len(read_video(Path(replayed.args[0].get_stream_source()))[0]) == 13


@pytest.mark.one_host
@pytest.mark.parametrize("guidance", ["off", "remembered source", "full"])
def test_every_guidance_and_a_block_run_and_differ(live: Any, tmp_path: Path, guidance: str) -> None:
    video, output = film(tmp_path / "in.mp4", 5), tmp_path / "output" / "zoetrope"
    live(video=video, guidance=guidance, block=2, context=1)
    live(video=video, guidance=guidance, block=2, context=1, guidance_scale=2.5)
    made = sorted(folder.name for folder in output.iterdir())
    assert made == (["live_00001"] if guidance == "off" else ["live_00001", "live_00002"])  # off: the scale has no effect
    assert latents_of(output / "live_00001").shape == (5, 4, 8, 8)
    assert len({float(latents_of(output / name).sum()) for name in made}) == len(made)


def test_full_guidance_is_that_of_the_hosts_own_guider(tiny: Any) -> None:
    import comfy.samplers
    from zoetrope.hosts.comfyui.live.guider import live_guider
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.hosts.comfyui.sampling.rounds import RoundRunner

    model, sigmas = tiny.model(), torch.tensor([2.0, 0.5, 0.0])
    x, levels, numbers = torch.randn(4, 4, 8, 8), torch.tensor([0.5, 0.5, 2.0, 2.0]), torch.arange(4)
    found: dict[str, Tensor] = {}

    def run(name: str, guider: Any) -> None:
        runner = RoundRunner(guider, (4, 8, 8), 4, sigmas, 0, "")

        def once() -> Any:
            found[name] = runner.live(x, levels, numbers).float()
            yield

        with torch.inference_mode():
            runner.run(once())

    run("both", guider_of(model, tiny.text(), tiny.text(seed=2), 2.5))
    for half in ("positive", "negative"):
        guider = live_guider(model, tiny.text(), tiny.text(seed=2))
        assert isinstance(guider, comfy.samplers.CFGGuider)
        guider.half = half
        run(half, guider)
    mixed = found["negative"] + 2.5 * (found["positive"] - found["negative"])
    torch.testing.assert_close(mixed, found["both"], atol=2e-5, rtol=1e-5)
    tiny.unload()


@pytest.mark.one_host
def test_a_folder_is_followed_and_its_prompt_changed_while_it_runs(live: Any, tiny: Any, tmp_path: Path) -> None:
    from zoetrope.shots.journal import Journal

    pictures, clip = tmp_path / "input" / "camera", Clip(tiny)
    pictures.mkdir()
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            Image.new("RGB", (96, 64), (number * 7 % 256, 80, 0)).save(pictures / f".{number % 20}.png")
            (pictures / f".{number % 20}.png").replace(pictures / f"{number % 20:02}.png")
            number += 1
            if number == 8:
                (pictures / "broken.png").write_bytes(b"no picture")
                (tmp_path / "input" / "prompt.txt").write_text("another look\nstrength: 0.8")
            time.sleep(0.03)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = live(folder="camera", control_file="prompt.txt", clip=clip, frames=24)
    finally:
        over.set()
        writer.join()
    assert clip.texts == ["another look"]
    folder = Path(made.args[0].get_stream_source()).parent
    changes = (folder / "changes.json").read_text()
    assert "another look" in changes
    assert "0.8" in changes
    state = Journal.open(folder).state()
    assert state is not None
    assert state.frame == 24
    assert state.position[1] == 25  # one is in the queue
    replayed = live(replay="zoetrope/live_00001", clip=clip, filename_prefix="zoetrope/again")
    again = Path(replayed.args[0].get_stream_source()).parent
    assert torch.equal(latents_of(folder), latents_of(again))


@pytest.mark.one_host
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "source: connect a video, or set folder"),
        ({"folder": "../secrets"}, "folder: expected a name below ComfyUI's input folder"),
        ({"folder": "camera", "control_file": "/etc/passwd"}, "control_file: expected a name below ComfyUI's input folder"),
        ({"replay": "zoetrope/none_00001"}, "replay: there is no folder 'zoetrope/none_00001' in ComfyUI's output folder"),
        ({"folder": "camera", "levels": 30}, "levels: expected 1 to 25 at strength 0.5"),
        ({"folder": "camera", "record": "often"}, "record: expected one of go on, new shot"),
        ({"video": "film"}, "video: expected a link"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused_by_name(live: Any, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        live(**inputs)
