"""Thumbnails of the template dialog: frames from the demo model, above the title.

`python tools/studio.py template_dialog` renders and writes them; drawing workflows (tools/templates) needs no render.
Templates for the user's own files have the render of the corresponding graph of the demo model, with a note.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from zoetrope.video.io.picture import of_pixels
from zoetrope.video.quality.sheet import contact_sheet

FOLDER = Path(__file__).parents[1] / "workflows"
FILE = "ZoetropeDecodeVideoToFile"
SIZE, BAND, SIDE, GAP = (640, 360), 96, 132, 4
GROUND, RIM, TEXT, QUIET, FREE = "#16242b", "#3d5a66", "#f7f4ec", "#9fc3cc", "#a8d672"
Picture = Callable[[Any], Image.Image]
"""Studio, which runs workflows -> picture above the title."""


@dataclass(frozen=True)
class Card:
    title: str
    needs: str
    """Required downloads; empty for the demo model."""
    picture: Picture


def sheet(*rows: tuple[str, str, int, int]) -> Picture:
    """Frames in two rows. Each row: workflow, node type, which of its clips, and from which half of the clip (0: all of it)."""

    def draw(studio: Any) -> Image.Image:
        page = Image.new("RGB", (SIZE[0], SIZE[1] - BAND), RIM)
        for at, (workflow, kind, number, half) in enumerate(rows):
            clip = studio.clips(workflow, kind)[number]
            if half:
                clip = clip.chunk(2)[half - 1]
            _row(page, clip, at * SIDE)
        return page

    return draw


def whole(workflow: str, kind: str, number: int = 0) -> Picture:
    """One clip in two rows."""
    return sheet((workflow, kind, number, 1), (workflow, kind, number, 2))


def _row(page: Image.Image, clip: Tensor, top: int, count: int = 5) -> None:
    chosen = clip[torch.linspace(0, len(clip) - 1, count).round().long()]
    wide = (SIZE[0] - GAP * (count - 1)) / count
    for at, frame in enumerate(chosen):
        left, right = round(at * (wide + GAP)), round(at * (wide + GAP) + wide)
        page.paste(_image(frame).resize((right - left, SIDE - GAP), Image.Resampling.NEAREST), (left, top))


def _image(frame: Tensor) -> Image.Image:
    return contact_sheet([frame[None]], gap=0)


def larger(studio: Any) -> Image.Image:
    """A frame of 64 pixels beside its version of 256."""
    frame = studio.clips("07_upscale_video_demo", "ZoetropeUpscaleVideo")[0][0]
    small = torch.nn.functional.interpolate(frame[None], size=(64, 64), mode="area")[0]
    page = Image.new("RGB", (SIZE[0], SIZE[1] - BAND), GROUND)
    side = page.height - GAP
    page.paste(_image(small).resize((side, side), Image.Resampling.NEAREST), (SIZE[0] // 2 - side - 10, 0))
    page.paste(_image(frame).resize((side, side), Image.Resampling.LANCZOS), (SIZE[0] // 2 + 10, 0))
    return page


def between(studio: Any) -> Image.Image:
    """Two given frames with a gap between them, above all frames of the result."""
    clip = studio.clips("06_frames_in_between_demo", "ZoetropeInterpolateFrames")[0][:5]
    page = Image.new("RGB", (SIZE[0], SIZE[1] - BAND), RIM)
    _row(page, torch.stack([clip[0], *[torch.full_like(clip[0], 0.16)] * 3, clip[4]]), 0)
    _row(page, clip, SIDE)
    return page


def plan(studio: Any) -> Image.Image:
    """Frames of a shot, and its plan."""
    page = Image.new("RGB", (SIZE[0], SIZE[1] - BAND), GROUND)
    _row(page, studio.clips("03_endless_shot_demo", "ZoetropeEndlessShot")[0], 0)
    draw = ImageDraw.Draw(page)
    draw.text((24, SIDE + 14), "10,000 frames take", QUIET, _font(34))
    draw.text((24, SIDE + 60), "time?   disk?   memory?", TEXT, _font(50))
    return page


def chart(studio: Any) -> Image.Image:
    """The upper part of the study's plot."""
    plot = studio.picture("13_compare_two_vaes_demo", "PreviewImage")
    high = round(plot.width * (SIZE[1] - BAND) / SIZE[0])
    return plot.crop((0, 0, plot.width, high)).resize((SIZE[0], SIZE[1] - BAND), Image.Resampling.LANCZOS)


def colours(studio: Any) -> Image.Image:
    parts = studio.files("16_match_colours_demo", "PreviewImage")
    page = Image.new("RGB", (SIZE[0], SIZE[1] - BAND), RIM)
    for row, start in enumerate((0, 8)):
        frames = [of_pixels(np.asarray(Image.open(path).convert("RGB"))) for path in parts[start : start + 8]]
        _row(page, torch.stack(frames), row * SIDE)
    return page


def fading(studio: Any) -> Image.Image:
    """Frames of a clip, below a strength that rises."""
    page = Image.new("RGB", (SIZE[0], SIZE[1] - BAND), GROUND)
    _row(page, studio.clips("01_text_to_video_demo", "SaveVideo")[0], SIDE)
    draw = ImageDraw.Draw(page)
    draw.text((24, 14), "strength by frame", QUIET, _font(34))
    draw.line([(24, SIDE - 20), (230, SIDE - 20), (430, 24), (616, 24)], FREE, 6, joint="curve")
    return page


TEXT_CLIP = whole("01_text_to_video_demo", "SaveVideo")
SHOT = whole("03_endless_shot_demo", "ZoetropeEndlessShot")
PICTURE_CLIP = whole("05_image_to_video_demo", "SaveVideo")
PROMPTED = whole("10_picture_as_prompt_demo", "SaveVideo")
RESTYLED = sheet(("01_text_to_video_demo", "SaveVideo", 0, 0), ("12_video_to_video_demo", "SaveVideo", 0, 0))
DECODED = sheet(("04_less_flicker_demo", FILE, 0, 0), ("04_less_flicker_demo", FILE, 1, 0))
INVERTED = sheet(("01_text_to_video_demo", "SaveVideo", 0, 0), ("17_another_look_by_inversion_demo", "SaveVideo", 0, 0))
LONG_FILE = sheet(
    ("34_restyle_a_long_video_demo", "ZoetropeEndlessShot", 0, 0),
    ("34_restyle_a_long_video_demo", "ZoetropeRestyleVideo", 0, 0),
)
FILM = sheet(("39_restore_a_film_demo", "SaveVideo", 0, 0), ("39_restore_a_film_demo", "ZoetropeRestoreFilm", 0, 0))
REPAINTED = sheet(("40_repaint_damage_demo", "SaveVideo", 0, 0), ("40_repaint_damage_demo", "ZoetropeRepaintDamage", 0, 0))
LOOKED = whole("18_look_across_frames_demo", "SaveVideo")
MERGED = whole("19_merge_across_frames_demo", "SaveVideo")
WINDOWS = whole("14_long_clips_fifo_windows_demo", FILE, 1)
CASCADE = whole("08_shot_in_betweens_upscale_demo", "ZoetropeUpscaleVideo")
CARDS = {
    "01_text_to_video_demo": Card("Text to video", "", TEXT_CLIP),
    "02_text_to_video_sd15_animatediff": Card("Text to video", "SD 1.5 + AnimateDiff", TEXT_CLIP),
    "03_endless_shot_demo": Card("Endless shot with a timeline", "", SHOT),
    "04_less_flicker_demo": Card("Less flicker when decoding", "", DECODED),
    "05_image_to_video_demo": Card("Picture to video", "", PICTURE_CLIP),
    "06_frames_in_between_demo": Card("Frames in between", "", between),
    "07_upscale_video_demo": Card("Upscale a video 4 times", "", larger),
    "08_shot_in_betweens_upscale_demo": Card("Shot, in-betweens, upscale", "", CASCADE),
    "09_shot_in_betweens_upscale_rife": Card("The same with RIFE or FILM", "a RIFE or FILM file", CASCADE),
    "10_picture_as_prompt_demo": Card("A picture as a prompt", "", PROMPTED),
    "11_continue_a_video_demo": Card("Continue a video", "", whole("11_continue_a_video_demo", "ZoetropeEndlessShot")),
    "12_video_to_video_demo": Card("Video to video: another look", "", RESTYLED),
    "13_compare_two_vaes_demo": Card("Compare two VAEs", "", chart),
    "14_long_clips_fifo_windows_demo": Card("Long clips: FIFO or windows", "", sheet(
        ("14_long_clips_fifo_windows_demo", FILE, 0, 0), ("14_long_clips_fifo_windows_demo", FILE, 1, 0))),
    "15_plan_a_long_shot_demo": Card("Plan a long shot", "", plan),
    "16_match_colours_demo": Card("Match colours, cut a part", "", colours),
    "17_another_look_by_inversion_demo": Card("Another look by inversion", "", INVERTED),
    "18_look_across_frames_demo": Card("Another look without motion module", "", LOOKED),
    "19_merge_across_frames_demo": Card("Another look with merged tokens", "", MERGED),
    "20_text_to_video_sdxl": Card("Text to video, SDXL", "SDXL + Hotshot-XL", WINDOWS),
    "21_text_to_video_videocrafter2": Card("Text to video, VideoCrafter2", "VideoCrafter2", sheet(
        ("14_long_clips_fifo_windows_demo", FILE, 0, 1), ("14_long_clips_fifo_windows_demo", FILE, 0, 2))),
    "22_image_to_video_dynamicrafter": Card("Picture to video", "DynamiCrafter", PICTURE_CLIP),
    "23_picture_as_prompt_ip_adapter": Card("A picture as a prompt", "SD 1.5 + IP-Adapter", PROMPTED),
    "24_video_to_video_controlnet": Card("Video to video, ControlNet", "SD 1.5 + ControlNet", RESTYLED),
    "25_image_to_video_sparsectrl": Card("Picture or drawing to video", "SD 1.5 + SparseCtrl", PICTURE_CLIP),
    "26_camera_moves_motion_lora": Card("Camera moves", "SD 1.5 + motion LoRA", whole("16_match_colours_demo", FILE)),
    "27_endless_shot_sd15": Card("Endless shot with a timeline", "SD 1.5 + AnimateDiff", SHOT),
    "43_endless_shot_wan": Card("Endless shot with a timeline", "Wan text to video", SHOT),
    "28_upscale_your_video": Card("Upscale your video 4 times", "an x4 upscaler", larger),
    "29_less_flicker_svd_vae": Card("Less flicker when decoding", "SD 1.5 + SVD's VAE", DECODED),
    "30_restyle_by_inversion_sd15": Card("Restyle by inversion", "SD 1.5 + AnimateDiff", INVERTED),
    "31_restyle_without_motion_sd15": Card("Restyle without motion module", "SD 1.5 + ControlNet", LOOKED),
    "32_merge_across_frames_sdxl": Card("Restyle with merged tokens", "SDXL + ControlNet", MERGED),
    "34_restyle_a_long_video_demo": Card("Another look for a long video", "", LONG_FILE),
    "35_restyle_a_long_video_sd15": Card("Restyle a long video", "SD 1.5 + ControlNet", LONG_FILE),
    "39_restore_a_film_demo": Card("Restore an old film", "", FILM),
    "40_repaint_damage_demo": Card("Repaint damage", "", REPAINTED),
    "41_restore_diffbir": Card("Restore with DiffBIR", "SD 2.1 + DiffBIR", FILM),
    "44_old_film_sd15": Card("An old film, whole again", "SD 1.5 + AnimateDiff", FILM),
    "33_lora_fades_in_sd15": Card("A LoRA that fades in", "SD 1.5 + LoRA", fading),
    "36_closed_loop_demo": Card("Closed loop", "", whole("36_closed_loop_demo", "ZoetropeEndlessShot")),
    "37_keyframes_demo": Card("Keyframes", "", whole("37_keyframes_demo", "ZoetropeEndlessShot")),
    "45_shot_anchor_demo": Card("Shot anchor", "", whole("45_shot_anchor_demo", "ZoetropeEndlessShot")),
    "42_live_shot_demo": Card("Live shot", "", whole("42_live_shot_demo", "ZoetropeLiveShot")),
    "38_masked_continuation_demo": Card("Keep a part, continue the rest", "", whole(
        "38_masked_continuation_demo", "ZoetropeEndlessShot")),
}  # fmt: skip


def drawn(card: Card, studio: Any) -> Image.Image:
    page = Image.new("RGB", SIZE, GROUND)
    page.paste(card.picture(studio), (0, 0))
    draw = ImageDraw.Draw(page)
    top = SIZE[1] - BAND
    size = next(size for size in range(46, 20, -1) if draw.textlength(card.title, _font(size)) <= SIZE[0] - 36)
    draw.text((18, top + 4), card.title, TEXT, _font(size))
    needs = f"Your files: {card.needs}" if card.needs else "Nothing to download"
    draw.text((18, top + 58), needs, QUIET if card.needs else FREE, _font(27))
    if card.needs:
        note = "shown: demo model"
        draw.text((SIZE[0] - 18 - draw.textlength(note, _font(18)), top + 68), note, QUIET, _font(18))
    return page


def write(studio: Any) -> None:
    for name, card in CARDS.items():
        drawn(card, studio).save(FOLDER / f"{name}.jpg", quality=82, optimize=True)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
