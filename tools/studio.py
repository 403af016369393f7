"""Renders all pictures of docs, help pages and templates, with the embedded model and the editor.

`python tools/studio.py [scene ...]` needs a ComfyUI (make host), chromium and node (make e2e). It writes
workflows/*.jpg, the pictures of the help pages (web/docs/pictures) and the clips of the README (docs/clips).
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hosting
import torch
from naming import name_the_checkout
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
name_the_checkout()

import thumbnails  # noqa: E402
from real_server import Server, error_of, serve  # noqa: E402
from studio_pages import ROOT, fitted, help_page, moving, put, sheet  # noqa: E402
from templates import WORKFLOWS  # noqa: E402
from zoetrope.hosts.diffusers.demo.model import load_demo  # noqa: E402
from zoetrope.sampling.guidance import EVERYWHERE  # noqa: E402
from zoetrope.training.demo.evaluation import read_set  # noqa: E402
from zoetrope.video.io.read import frames_of  # noqa: E402

GRAPHS = {  # help pages whose node is shown in its workflow, where no weights of its family can be had
    "LoadMotionModule": "02_text_to_video_sd15_animatediff",
    "MotionReport": "20_text_to_video_sdxl",
    "LoadVideoCheckpoint": "21_text_to_video_videocrafter2",
    "LoadImageProjector": "23_picture_as_prompt_ip_adapter",
    "LoadRestorationControl": "41_restore_diffbir",
    "LoadSparseCtrl": "25_image_to_video_sparsectrl",
    "ApplyMotionLora": "26_camera_moves_motion_lora",
    "MotionSettings": "26_camera_moves_motion_lora",
    "LoadVideoUpscaler": "28_upscale_your_video",
    "LoraByFrame": "33_lora_fades_in_sd15",
    "QueueSettings": "14_long_clips_fifo_windows_demo",
    "PromptTimeline": "03_endless_shot_demo",
}


FILES = {
    "CheckpointLoaderSimple": "checkpoints", "ZoetropeLoadMotionModule": "animatediff_models",
    "ZoetropeApplyMotionLora": "animatediff_motion_lora", "ZoetropeLoadImageProjector": "ipadapter",
    "ZoetropeLoadSparseCtrl": "controlnet", "ZoetropeLoadRestorationControl": "controlnet", "LoraLoader": "loras",
    "ZoetropeLoadVideoCheckpoint": "checkpoints", "ZoetropeLoadVideoUpscaler": "checkpoints", "ZoetropeLoraByFrame": "loras",
}  # fmt: skip


class Studio:
    """Runs each workflow once and caches its outputs."""

    def __init__(self, server: Server):
        self._server = server
        self._entries: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def run(self, workflow: str, **changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        key = f"{workflow} {changes}"
        if key not in self._entries:
            print("running", key, flush=True)
            graph = self._server.workflow(workflow, **changes)
            entry = self._server.run(graph, 1200)
            assert not error_of(entry), error_of(entry)
            self._entries[key] = graph, entry["outputs"]
        return self._entries[key]

    def files(self, workflow: str, kind: str, **changes: dict[str, Any]) -> list[Path]:
        graph, outputs = self.run(workflow, **changes)
        shown = [file for number in sorted(outputs, key=int) if graph[number]["class_type"] == kind
                 for file in outputs[number].get("images", [])]  # fmt: skip
        return [self._server.folder / file["type"] / file["subfolder"] / file["filename"] for file in shown]

    def clips(self, workflow: str, kind: str, **changes: dict[str, Any]) -> list[Tensor]:
        """Videos `(f, 3, h, w)` that nodes of a kind made, in the graph's order."""
        return [torch.stack(list(frames_of(path))) for path in self.files(workflow, kind, **changes)]

    def picture(self, workflow: str, kind: str, at: int = 0) -> Image.Image:
        """Previews of a node."""
        return Image.open(self.files(workflow, kind)[at]).convert("RGB")


def template_dialog(studio: Studio) -> None:
    thumbnails.write(studio)


def text_to_video(studio: Studio) -> None:
    plain = studio.clips("01_text_to_video_demo", "SaveVideo")[0]
    still = studio.clips("01_text_to_video_demo", "SaveVideo", ZoetropeApplyMotionModule={"strength": 0.0})[0]
    put(sheet([plain]), help_page("LoadDemoModel"), help_page("DecodeVideo"))
    put(sheet([still, plain]), help_page("ApplyMotionModule"))
    moving(ROOT / "docs" / "clips" / "text_to_video.webp", plain, 8)


def endless_shot(studio: Studio) -> None:
    shot = studio.clips("03_endless_shot_demo", "ZoetropeEndlessShot")[0]
    put(sheet(list(shot.chunk(3)), 8), help_page("EndlessShot"))
    moving(ROOT / "docs" / "clips" / "endless_shot.webp", shot, 12)


def temporal_vae(studio: Studio) -> None:
    around, alone = studio.clips("04_less_flicker_demo", "ZoetropeDecodeVideoToFile")
    put(sheet([around, alone]), help_page("LoadTemporalVae"), help_page("DecodeVideoToFile"))


def image_to_video(studio: Studio) -> None:
    begun = studio.clips("05_image_to_video_demo", "SaveVideo")[0]
    put(sheet([begun]), help_page("FirstLastFrameGuide"))
    moving(ROOT / "docs" / "clips" / "image_to_video.webp", begun, 8)


def interpolate(studio: Studio) -> None:
    between = studio.clips("06_frames_in_between_demo", "ZoetropeInterpolateFrames")[0]
    held = between[:9:4].repeat_interleave(4, 0)[:9]
    put(sheet([held, between[:9]], 9, 84), help_page("InterpolateFrames"))


def upscale(studio: Studio) -> None:
    large, rough = studio.clips("07_upscale_video_demo", "ZoetropeUpscaleVideo")
    small = torch.nn.functional.interpolate(large, size=(64, 64), mode="area")
    put(sheet([small[:4], large[:4]], 4, 188), help_page("UpscaleVideo"))
    put(sheet([rough[:4], large[:4]], 4, 188), help_page("LoadDemoUpscaler"))
    put(fitted(studio.picture("07_upscale_video_demo", "PreviewImage")), help_page("VideoMetrics"))


def cascade(studio: Studio) -> None:
    large = studio.clips("08_shot_in_betweens_upscale_demo", "ZoetropeUpscaleVideo")[0]
    moving(ROOT / "docs" / "clips" / "cascade.webp", large, 16, 256)


def image_prompt(studio: Studio) -> None:
    put(sheet([studio.clips("10_picture_as_prompt_demo", "SaveVideo")[0]]), help_page("ImagePrompt"))


def another_look(studio: Studio) -> None:
    before = studio.clips("01_text_to_video_demo", "SaveVideo")[0]
    after = studio.clips("12_video_to_video_demo", "SaveVideo")[0]
    put(sheet([before, after]), help_page("EncodeVideo"))


def restyled_file(studio: Studio) -> None:
    """Frames of a video, and of the same restyled."""
    before, after = (
        studio.clips("34_restyle_a_long_video_demo", kind)[0] for kind in ("ZoetropeEndlessShot", "ZoetropeRestyleVideo")
    )
    put(sheet([before[::6], after[::6]]), help_page("RestyleVideo"))


def old_film(studio: Studio) -> None:
    """Frames of a damaged film, its damage in red, and the restored film."""
    name = "39_restore_a_film_demo"
    before, after = (studio.clips(name, kind)[0][2::4] for kind in ("SaveVideo", "ZoetropeRestoreFilm"))
    red = torch.stack([pixels(path) for path in studio.files(name, "PreviewImage")])[2::4]
    put(sheet([before]), help_page("AddFilmDamage"))
    put(sheet([before, red]), help_page("DetectDamage"))
    put(sheet([before, after]), help_page("RestoreFilm"))


def repainted(studio: Studio) -> None:
    """Frames with blotches, and the same repainted."""
    before, after = (studio.clips("40_repaint_damage_demo", kind)[0] for kind in ("SaveVideo", "ZoetropeRepaintDamage"))
    put(sheet([before, after]), help_page("RepaintDamage"))


def restyled(studio: Studio) -> None:
    """Frames by the image model alone, each with its own noise, and the same with the nodes of Restyle."""
    alone: dict[str, dict[str, Any]] = {"ZoetropeLongShotNoise": {"mode": "shuffled"}}
    name = "18_look_across_frames_demo"
    apart = studio.clips(name, "SaveVideo", ZoetropeLookAcrossFrames={"strength": 0.0}, **alone)[0]
    put(sheet([apart, studio.clips(name, "SaveVideo")[0]]), help_page("LookAcrossFrames"))
    name = "19_merge_across_frames_demo"
    apart = studio.clips(name, "SaveVideo", ZoetropeMergeAcrossFrames={"levels": 0}, **alone)[0]
    put(sheet([apart, studio.clips(name, "SaveVideo")[0]]), help_page("MergeAcrossFrames"))


def study(studio: Studio) -> None:
    put(fitted(studio.picture("13_compare_two_vaes_demo", "PreviewImage")), help_page("VaeRoundTrip"))


def long_clips(studio: Studio) -> None:
    queue, windows = studio.clips("14_long_clips_fifo_windows_demo", "ZoetropeDecodeVideoToFile")
    put(sheet([queue, windows]), help_page("FifoSampler"))
    put(sheet(list(windows[:32].chunk(2))), help_page("SlidingWindows"), help_page("LongShotNoise"))


def keyframes(studio: Studio) -> None:
    """A shot from its first keyframe to its second, and from there to its third."""
    (shot,) = studio.clips("37_keyframes_demo", "ZoetropeEndlessShot")
    put(sheet([shot[:25], shot[24:]]), help_page("Keyframes"))


def anchored(studio: Studio) -> None:
    """A shot whose prompt names no colour, without and with an anchor."""
    name, kind = "45_shot_anchor_demo", "ZoetropeEndlessShot"
    without = studio.clips(name, kind, ZoetropeAnchor={"strength": 0.0})
    put(sheet([*without, *studio.clips(name, kind)]), help_page("Anchor"))


def live_shot(studio: Studio) -> None:
    """Frames of a source, and of the live shot made of it."""
    source, live = (studio.clips("42_live_shot_demo", kind)[0] for kind in ("ZoetropeDecodeVideoToFile", "ZoetropeLiveShot"))
    put(sheet([source[::3], live[::3]]), help_page("LiveShot"))


def guidance(studio: Studio) -> None:
    """Stills of every fourth square of the evaluation set: guidance at every step, and in the demo model's interval."""
    demo = replace(load_demo(), motion=None)
    items = [(scene.caption, seeds[0]) for scene, seeds in read_set() if scene.shape == "square"][::4]
    prompts, seeds = map(list, zip(*items, strict=True))
    rows = [one.generate_batch(prompts, 1, seeds)[:, 0] for one in (replace(demo, interval=EVERYWHERE), demo)]
    put(sheet(rows), help_page("GuidanceInterval"))


def colour(studio: Studio) -> None:
    parts = studio.files("16_match_colours_demo", "PreviewImage")
    before, after = (torch.stack([pixels(path) for path in parts[at : at + 8]]) for at in (0, 8))
    put(sheet([before, after]), help_page("MatchColour"))
    put(sheet([before]), help_page("LoadVideoSegment"))


SCENES = (
    text_to_video, endless_shot, temporal_vae, image_to_video, interpolate, upscale, cascade, image_prompt,
    another_look, restyled, restyled_file, old_film, repainted, study, long_clips, keyframes, anchored, live_shot, guidance,
    colour, template_dialog,
)  # fmt: skip


def pixels(path: Path) -> Tensor:
    image = torch.frombuffer(bytearray(Image.open(path).convert("RGB").tobytes()), dtype=torch.uint8)
    width, height = Image.open(path).size
    return image.reshape(height, width, 3).permute(2, 0, 1) / 255


def graphs(server: Server, folder: Path) -> None:
    """Takes screenshots of the editor: nodes, and the plan's panel."""
    environment = {**os.environ, "CHROMIUM": "/usr/bin/chromium", "PLAYWRIGHT_FROM": str(hosting.CACHE / "node")}
    script = ROOT / "tests" / "e2e" / "studio.mjs"
    scenes = [*(f"{name}:Zoetrope{node}" for node, name in GRAPHS.items()), "15_plan_a_long_shot_demo:run"]
    subprocess.run(
        ["node", str(script), server.url, str(folder), str(ROOT / "workflows"), *scenes], check=True, env=environment
    )
    for node in GRAPHS:
        put(fitted(Image.open(folder / f"Zoetrope{node}.png").convert("RGB"), 560), help_page(node))
    put(fitted(Image.open(folder / "15_plan_a_long_shot_demo.png").convert("RGB"), 560), help_page("ShotPlan"))


def pretend(models: Path) -> None:
    """Creates empty files with the names in workflows, because the editor marks nodes with missing files."""
    for one in WORKFLOWS:
        for node in (node for column in one.columns for node in column.nodes if node.type in FILES):
            name = next(value for value in node.inputs.values() if isinstance(value, str))
            (models / FILES[node.type]).mkdir(parents=True, exist_ok=True)
            (models / FILES[node.type] / name).touch()


if __name__ == "__main__":
    torch.set_num_threads(1)
    selected = sys.argv[1:]
    with TemporaryDirectory() as here:
        pretend(Path(here) / "host" / "models")
        with serve(hosting.found_hosts()[-1], Path(here) / "host", "zoetrope") as server:
            studio = Studio(server)
            for scene in SCENES:
                if not selected or scene.__name__ in selected:
                    scene(studio)
            if not selected or "graphs" in selected:
                graphs(server, Path(here))
