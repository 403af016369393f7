"""Trains one stage of the embedded model; the same command continues an interrupted run.

python -m zoetrope.training.demo vae     --output runs/vae
python -m zoetrope.training.demo decoder --output runs/decoder --vae runs/vae
python -m zoetrope.training.demo decoder_whole --output runs/decoder_whole --vae runs/vae --from runs/decoder
python -m zoetrope.training.demo image   --output runs/image --vae runs/vae
python -m zoetrope.training.demo video   --output runs/video --vae runs/vae --from runs/image
python -m zoetrope.training.demo sight   --output runs/sight --vae runs/vae --from runs/video
python -m zoetrope.training.demo picture --output runs/picture --vae runs/vae --from runs/video --sight runs/sight
python -m zoetrope.training.demo few_steps --output runs/few --vae runs/vae --from runs/video       for live shots
python -m zoetrope.training.demo image_long   --output runs/image   --vae runs/vae --half  then, longer:
python -m zoetrope.training.demo sight        --output runs/sight   --vae runs/vae --from runs/image
python -m zoetrope.training.demo picture_long --output runs/picture --vae runs/vae --from runs/image --sight runs/sight --half
python -m zoetrope.training.demo picture_more --output runs/more --vae runs/demo --from runs/demo --half  (demo/weights copied)
torchrun --nproc-per-node 2 -m zoetrope.training.demo video ...          two processes, twice the batch
python -m zoetrope.training.demo upscaler_vae       --output runs/up_vae   --vae runs/vae
python -m zoetrope.training.demo upscaler_vae_whole --output runs/up_whole --from runs/up_vae
python -m zoetrope.training.demo upscaler           --output runs/up       --vae runs/up_whole
python -m zoetrope.training.demo upscaler_video     --output runs/up_video --vae runs/up_whole --from runs/up
python -m zoetrope.training.demo upscaler_damage    --output runs/up_film --vae runs/up_whole --from runs/up  # restores, too
python -m zoetrope.training.demo export_upscaler --output demo/weights --vae runs/up_whole --from runs/up --video runs/up_video
python -m zoetrope.training.demo export --output demo/weights --vae runs/vae --from runs/video --decoder runs/decoder_whole
python -m zoetrope.training.demo dit     --output runs/dit --vae runs/vae   a video transformer of Wan's class
python -m zoetrope.training.demo lively_vae   --output runs/lively_vae --half            the lively world, for a GPU (gpu.sh)
python -m zoetrope.training.demo lively_image --output runs/lively_image --vae runs/lively_vae --half
python -m zoetrope.training.demo lively_video --output runs/lively_video --vae runs/lively_vae --from runs/lively_image --half
"""

import argparse
import copy
import os
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from PIL import Image
from torch import nn

from ...demo.layout import load_text, new_upscaler_motion
from ...hosts.diffusers.demo.superres import new_upscaler, new_upscaler_vae
from ..loop import is_main_process, train
from .config import (
    DecoderRun,
    DitRun,
    FewStepRun,
    ImageRun,
    LivelyRun,
    PictureRun,
    SightRun,
    UpscalerRun,
    UpscalerVaeRun,
    VaeRun,
    VideoRun,
    read_config,
)
from .consistency import Networks, few_step_loss
from .decoder import ClipCritic, decoder_loss
from .denoising import image_loss, video_loss
from .dit import dit_loss, new_dit, show_dit
from .export import calibrated_vae, upscaler_vae, weights_to_start_from, write_demo, write_upscaler
from .library import Library, build_library, build_starts, fingerprint
from .lively import in_half, new_stage
from .networks import new_motion, new_projector, new_temporal_vae, new_text, new_unet, new_vae, new_vision, trainable
from .pictures import picture_loss, sight_loss
from .samples import show_clips, show_decoder, show_upscaler, show_vae
from .upscaler import a_level_less, build_windows, upscaler_loss
from .vae import vae_loss


def main() -> None:
    arguments = read_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.stage == "export":
        write_demo(arguments.output, arguments.vae, arguments.start, arguments.decoder)
        return
    if arguments.stage == "export_upscaler":
        write_upscaler(arguments.output, arguments.vae, arguments.start, arguments.video)
        return
    if "RANK" in os.environ:  # started by torchrun
        backend = "nccl" if arguments.device.startswith("cuda") else "gloo"
        dist.init_process_group(backend, timeout=timedelta(hours=12))  # the others wait while the first one encodes
        if arguments.device == "cuda":
            arguments.device = f"cuda:{os.environ['LOCAL_RANK']}"
    run, device = read_config(config_path(arguments.stage)), torch.device(arguments.device)
    torch.manual_seed(run.seed)
    if isinstance(run, LivelyRun):
        stage = new_stage(run, arguments.vae, arguments.start, device, arguments.half)
        stage.train(run, arguments.output, arguments.until)
    elif isinstance(run, SightRun):
        train_sight(run, arguments)
    elif isinstance(run, UpscalerRun):
        train_upscaler(run, arguments, device)
    elif isinstance(run, VaeRun):
        vae = (new_upscaler_vae() if isinstance(run, UpscalerVaeRun) else new_vae()).to(device)
        if isinstance(run, UpscalerVaeRun) and arguments.vae:
            vae.load_state_dict(a_level_less(calibrated_vae(arguments.vae).state_dict()), strict=True)
        if arguments.start:
            start_from(arguments.start, {"vae": vae})
        loss = in_half(vae_loss(run, vae, device), device) if arguments.half else vae_loss(run, vae, device)
        train(run, {"vae": vae}, loss, show_vae(run.size), arguments.output, arguments.until)
    elif isinstance(run, DecoderRun):
        train_decoder(run, arguments, device)
    elif isinstance(run, DitRun):
        train_dit(run, arguments, device)
    elif isinstance(run, (ImageRun, VideoRun)):
        train_denoiser(run, arguments, device)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zoetrope.training.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("stage", help="a stage of training/demo/stages, a JSON file like those, or `export`")
    parser.add_argument("--output", type=Path, required=True, help="folder of this stage's state, log and sheets")
    parser.add_argument("--vae", type=Path, help="output folder of the vae stage")
    parser.add_argument("--decoder", type=Path, help="export: output folder of the decoder stage")
    parser.add_argument("--from", dest="start", type=Path, help="output folder of the stage whose weights to start from")
    parser.add_argument("--video", type=Path, help="export_upscaler: output folder of the upscaler_video stage")
    parser.add_argument("--sight", type=Path, help="picture: output folder of the sight stage")
    parser.add_argument("--until", type=int, help="stop after this step; the same command without it continues")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--half", action="store_true", help="activations in bfloat16, faster where the CPU has it (not: sight, decoder)"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's default")
    arguments = parser.parse_args()
    export = arguments.stage.startswith("export")
    if not arguments.vae and (export or not isinstance(read_config(config_path(arguments.stage)), VaeRun)):
        parser.error("this stage needs --vae, the output folder of the vae stage")
    if not arguments.start and (export or isinstance(read_config(config_path(arguments.stage)), VideoRun | SightRun)):
        parser.error("this stage needs --from: the output folder of the image stage (video) or of the video stage (the others)")
    return arguments


def config_path(stage: str) -> Path:
    """Path of a stage's configuration: a shipped one by its name, or a file."""
    shipped = Path(__file__).with_name("stages") / f"{stage}.json"
    if not shipped.is_file() and not Path(stage).is_file():
        known = ", ".join(sorted(path.stem for path in shipped.parent.glob("*.json")))
        raise SystemExit(f"stage {stage!r}: no such stage ({known}, export) and no such file")
    return shipped if shipped.is_file() else Path(stage)


def train_decoder(run: DecoderRun, arguments: argparse.Namespace, device: torch.device) -> None:
    """Trains the temporal decoder, from the image VAE, with a critic that is not exported."""
    vae = new_temporal_vae(calibrated_vae(arguments.vae)).to(device)
    trainable(vae, run)
    critic = ClipCritic(run.critic).to(device)
    modules = {"decoder": vae, "critic": critic}
    if arguments.start:
        start_from(arguments.start, modules)
    train(run, modules, decoder_loss(run, vae, critic, device), show_decoder(run.size), arguments.output, arguments.until)


def train_upscaler(run: UpscalerRun, arguments: argparse.Namespace, device: torch.device) -> None:
    """Trains the image upscaler or its temporal layers, with the embedded model's frozen text encoder."""
    vae = upscaler_vae(arguments.vae)
    spoilt = f"_{run.damage.replace(' ', '_')}" if run.damage else ""
    windows = build_windows(arguments.vae / f"windows_{run.window}_{run.shots}{spoilt}.pt", vae, run)
    unet, motion, text = new_upscaler(), new_upscaler_motion(), load_text().requires_grad_(False)
    if arguments.start:
        start_from(arguments.start, {"unet": unet, "motion": motion})
    unet.requires_grad_(not run.over_frames)
    motion.requires_grad_(run.over_frames)
    loss = upscaler_loss(run, windows, unet, text, motion)
    loss = in_half(loss, torch.device("cpu")) if arguments.half else loss
    train(run, {"unet": unet, "motion": motion}, loss, show_upscaler(vae, text, run), arguments.output, arguments.until)


def train_denoiser(run: ImageRun | VideoRun, arguments: argparse.Namespace, device: torch.device) -> None:
    """Trains an image, video or picture stage."""
    vae = calibrated_vae(arguments.vae).to(device)
    if not is_main_process():
        dist.barrier()  # the first process encodes, the others load its file
    library = encoded_library(run, arguments.vae, vae, arguments.half)
    if dist.is_initialized() and is_main_process():
        dist.barrier()
    unet, text, motion = new_unet().to(device), new_text().to(device), new_motion().to(device)
    modules: dict[str, nn.Module] = {"unet": unet, "text": text}
    if arguments.start:
        start_from(arguments.start, {**modules, "motion": motion})
    if isinstance(run, ImageRun):
        loss = image_loss(run, library, unet, text)
    else:
        few = isinstance(run, FewStepRun)
        loss = (
            few_step_loss(run, library, Networks(unet, text, motion)) if few else video_loss(run, library, unet, text, motion)
        )
        modules["motion"] = motion
        unet.requires_grad_(run.train_image)
        text.requires_grad_(run.train_image)
    if isinstance(run, PictureRun):
        vision, projector = new_vision().to(device), new_projector(unet).to(device)
        modules |= {"vision": vision, "projector": projector}
        if arguments.start:
            start_from(arguments.sight or arguments.start, {"vision": vision, "projector": projector})
        loss = picture_loss(run, library, unet, text, motion, vision, projector)
    loss = in_half(loss, device) if arguments.half else loss
    train(run, modules, loss, show_clips(vae), arguments.output, arguments.until)


def train_dit(run: DitRun, arguments: argparse.Namespace, device: torch.device) -> None:
    """Trains the video transformer, with a text encoder of its own."""
    vae = calibrated_vae(arguments.vae).to(device)
    library = encoded_library(run, arguments.vae, vae, arguments.half)
    modules = {"dit": new_dit(run).to(device), "text": new_text().to(device)}
    if arguments.start:
        start_from(arguments.start, modules)
    loss = dit_loss(run, library, modules["dit"], modules["text"])
    loss = in_half(loss, device) if arguments.half else loss
    train(run, modules, loss, show_dit(vae), arguments.output, arguments.until)


def encoded_library(run: ImageRun | VideoRun | DitRun, folder: Path, vae: Any, half: bool) -> Library:
    """Shots of the run, encoded in bfloat16 if `half`."""
    maker, encoder = fingerprint(vae), copy.deepcopy(vae).bfloat16() if half else vae
    library = build_library(folder / "library.pt", encoder, maker, run.shots, run.size, note)
    if not isinstance(run, PictureRun):
        return library
    return replace(library, starts=build_starts(folder / "starts.pt", encoder, maker, run.shots, run.size))


def train_sight(run: SightRun, arguments: argparse.Namespace) -> None:
    """Trains image encoder and projector alone, before their tokens are used in a UNet."""
    unet, text = new_unet(), new_text()
    start_from(arguments.start, {"unet": unet, "text": text})
    modules = {"vision": new_vision(), "projector": new_projector(unet)}
    loss = sight_loss(run, text.requires_grad_(False), modules["vision"], modules["projector"])
    train(run, modules, loss, lambda _: Image.new("RGB", (8, 8)), arguments.output, arguments.until)


def start_from(folder: Path, modules: dict[str, Any]) -> None:
    """Loads the weights of an earlier stage or of an exported model; modules that it lacks keep their initial weights."""
    weights = weights_to_start_from(folder)
    for name, module in modules.items():
        if name in weights:
            module.load_state_dict(weights[name])
        else:
            note(f"{folder} has no {name}: initial weights are used")


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
