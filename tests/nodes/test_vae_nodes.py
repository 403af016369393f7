"""The VAE shelf with real files: in, out, and what is wrong with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoetrope.demo.world import draw, film
from zoetrope.video.io.read import facts_of, frames_of, sound_of
from zoetrope.video.io.sound import add_sound
from zoetrope.video.io.write import write_video

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("inference")]


@pytest.fixture
def inference(tiny: Any) -> Any:
    with torch.inference_mode():
        yield
    tiny.unload()


@pytest.fixture
def demo(inference: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders import demo as comfyui_demo

    return comfyui_demo.load_demo()


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    return tmp_path / "output"


def clip_file(path: Path, frames: int = 20) -> Path:
    scene = draw(torch.Generator().manual_seed(1), motion="moving right")
    write_video(path, film(scene, frames, 70), 10)
    add_sound(path, 0.5 * torch.sin(torch.arange(16000) / 5)[None], 8000)
    return path


def test_a_file_goes_to_latents_and_back_with_its_sound_and_rate(demo: Any, output: Path, tmp_path: Path) -> None:
    from comfy_api.input_impl import VideoFromFile
    from zoetrope.nodes.vae import DecodeVideoToFile, EncodeVideo

    source = clip_file(tmp_path / "in.mp4")
    latent, audio, fps = EncodeVideo.execute(VideoFromFile(str(source)), demo.vae).result
    assert latent["samples"].shape == (20, 4, 8, 8), "70 pixels are cut to 64"
    assert fps == 10
    made = DecodeVideoToFile.execute(latent, demo.temporal_vae, fps, "zoetrope/back", audio=audio)
    (video,) = made.result
    path = output / "zoetrope" / "back_00001_.mp4"
    assert video.get_dimensions() == (64, 64)
    assert facts_of(path).frames == 20
    assert abs(video.get_duration() - 2) < 0.15
    heard = sound_of(path)
    assert heard
    assert 14000 < heard[0].shape[1] < 18000
    truth = torch.stack(list(frames_of(source)))[:, :, 3:67, 3:67]
    error = (torch.stack(list(frames_of(path))) - truth).abs().mean()
    assert error < 0.03
    copied = tmp_path / "copied.mp4"
    video.save_to(str(copied))  # what Save Video does
    assert facts_of(copied).frames == 20
    assert made.ui.as_dict()["images"][0]["filename"] == path.name


def test_a_part_of_a_video_is_that_part(demo: Any, tmp_path: Path) -> None:
    from comfy_api.input_impl import VideoFromFile
    from zoetrope.hosts.comfyui.vae.video import clip_of

    video = VideoFromFile(str(clip_file(tmp_path / "in.mp4")))
    if not hasattr(video, "as_trimmed"):
        pytest.skip("this ComfyUI cannot trim videos")
    part = clip_of(video.as_trimmed(0.5, 1.0))
    assert part.count == len(list(part.frames)) == 10
    assert part.audio
    assert part.audio["waveform"].shape == (1, 1, 8000)


def test_a_video_in_memory_is_frames(demo: Any) -> None:
    from comfy_api.input_impl import VideoFromComponents
    from comfy_api.latest import Types
    from zoetrope.nodes.vae import EncodeVideo

    components = Types.VideoComponents(images=torch.rand(3, 64, 64, 3), frame_rate=12, audio=None)
    latent, audio, fps = EncodeVideo.execute(VideoFromComponents(components), demo.vae).result
    assert (latent["samples"].shape[0], audio, fps) == (3, None, 12)


def test_what_cannot_be_read_or_written_is_said(demo: Any, output: Path, tmp_path: Path) -> None:
    from comfy_api.input_impl import VideoFromFile
    from zoetrope.nodes.vae import DecodeVideoToFile, EncodeVideo

    broken = tmp_path / "letter.mp4"
    broken.write_text("dear all")
    with pytest.raises(ValueError, match=r"letter\.mp4: this is not a readable video"):
        EncodeVideo.execute(VideoFromFile(str(broken)), demo.vae)
    latent = {"samples": torch.zeros(2, 4, 8, 8)}
    with pytest.raises(ValueError, match="fps: expected more than 0"):
        DecodeVideoToFile.execute(latent, demo.vae, 0.0, "x")
    with pytest.raises(ValueError, match="blend: expected one of auto"):
        DecodeVideoToFile.execute(latent, demo.vae, 8.0, "x", blend="mush")
    with pytest.raises(ValueError, match="overlap: expected 0 to half of the window"):
        DecodeVideoToFile.execute(latent, demo.vae, 8.0, "x", window=4, overlap=3)
    with pytest.raises(Exception, match="outside"):
        DecodeVideoToFile.execute(latent, demo.vae, 8.0, "../../x")
    latent["samples"][1] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        DecodeVideoToFile.execute(latent, demo.vae, 8.0, "x")
    assert not list(output.rglob("*.mp4")), "nothing half done is left"


@pytest.mark.one_host
def test_the_round_trip_compares_vaes_under_changes_of_time(demo: Any) -> None:
    from zoetrope.nodes.vae import VaeRoundTrip

    pictures = film(draw(torch.Generator().manual_seed(2), motion="moving up"), 16, 64, 8).movedim(1, -1)
    table, plot = VaeRoundTrip.execute(
        pictures, demo.vae, "as it is, reversed\ntime for height", 16, vae_2=demo.temporal_vae
    ).result
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[0].strip("| ") for row in rows] == ["as it is", "as it is", "reversed", "reversed"] + ["time for height"] * 2
    assert plot.shape[0] == 1
    assert plot.shape[-1] == 3
    assert plot.std() > 0.05
    with pytest.raises(ValueError, match="changes: expected some of as it is, .*'sideways'"):
        VaeRoundTrip.execute(pictures, demo.vae, "sideways", 16)
    with pytest.raises(ValueError, match="2 frames or more, got 1"):
        VaeRoundTrip.execute(pictures[:1], demo.vae, "as it is", 16)
    with pytest.raises(ValueError, match="one or more"):
        VaeRoundTrip.execute(pictures, demo.vae, " ", 16)


def test_load_temporal_vae_offers_the_hosts_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inference: Any) -> None:
    import folder_paths
    from zoetrope.demo.layout import TEMPORAL_VAE, part_path
    from zoetrope.nodes.load import LoadTemporalVae

    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "svd.safetensors").write_bytes(part_path(TEMPORAL_VAE).read_bytes())
    (tmp_path / "vae" / "note.safetensors").write_bytes(np.arange(9).tobytes())
    places = dict(folder_paths.folder_names_and_paths) | {
        "vae": ([str(tmp_path / "vae")], {".safetensors"}),
        "checkpoints": ([], {".safetensors"}),
        "zoetrope_vae": ([], {".safetensors"}),
    }
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", places)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    vae, report = LoadTemporalVae.execute("svd.safetensors").result
    assert report.startswith("Stable Video Diffusion's VAE (published spelling")
    assert vae.decode(torch.zeros(3, 4, 8, 8)).shape == (3, 64, 64, 3)
    with pytest.raises(ValueError, match=r"note\.safetensors: expected a safetensors file"):
        LoadTemporalVae.execute("note.safetensors")
    with pytest.raises(ValueError, match="no such file"):
        LoadTemporalVae.execute("../../secret.safetensors")
