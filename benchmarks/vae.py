"""Cost of the VAE nodes: `python benchmarks/vae.py [--frames 2000] [--side 64] [--seams DIR]`. Needs a ComfyUI.

In one run: the bare calls of the embedded temporal decoder; Decode Video (windows, checks, joins) around them;
Decode Video to File, the encoding of the video apart; core's VAE Decode. Main memory after every tenth. --seams measures
how the error against the whole decode falls with the overlap, and writes the chart of docs/vae-and-time.md.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tools", "tests/support")]
import hosting  # noqa: E402
from naming import name_the_checkout  # noqa: E402

HOST, WHY = hosting.enter_host()
name_the_checkout()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from zoetrope.demo.layout import PIXELS, TEMPORAL_VAE, part_path  # noqa: E402
from zoetrope.demo.world import RATES, draw, film  # noqa: E402
from zoetrope.shots.measure import ram  # noqa: E402
from zoetrope.video.io.write import write_video  # noqa: E402
from zoetrope.video.quality.chart import curves  # noqa: E402

MIB = 1 << 20


class Clock:
    """Time spent in the decoder, in seconds."""

    def __init__(self, vae: Any):
        self.spent, self.frames, self._decode, self._device = 0.0, 0, vae.first_stage_model.decode, str(vae.device)
        vae.first_stage_model.decode = self

    def __call__(self, x: Tensor) -> Tensor:
        started = time.perf_counter()
        out = self._decode(x)
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()
        self.spent, self.frames = self.spent + time.perf_counter() - started, self.frames + len(x)
        return out


def watched(frames: Iterator[Tensor], total: int) -> Iterator[Tensor]:
    """Yields frames and prints main memory after every tenth, relative to that after the first two."""
    reference = 0
    for done, frame in enumerate(frames, 1):
        yield frame
        if done % max(1, total // 10) == 0:
            now = ram()
            reference = reference or (now if done >= total // 5 else 0)
            share = f"{now / reference:.4f} of that at frame {total // 5}" if reference else ""
            print(f"  frame {done:6}  {now / MIB:8.1f} MiB  {share}")


def throughput(vae: Any, latents: Tensor) -> None:
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae
    from zoetrope.hosts.comfyui.vae.video import decoded

    clock, total = Clock(vae), len(latents)
    print(f"{total} frames of {latents.shape[-1] * 8} px, windows {ChunkedVae(vae).cut}")
    for _ in decoded(latents[:64], ChunkedVae(vae))[1]:
        pass  # warm
    clock.spent, clock.frames, started = 0.0, 0, time.perf_counter()
    for _ in watched(decoded(latents, ChunkedVae(vae))[1], total):
        pass
    wall = time.perf_counter() - started
    print(f"Decode Video: {wall:.1f} s, {clock.spent:.1f} s in the decoder: {clock.spent / wall:.4f} of the bare calls' pace")
    print(f"frames decoded per frame kept: {clock.frames / total:.3f}")
    with TemporaryDirectory() as folder:
        clock.spent, started = 0.0, time.perf_counter()
        write_video(Path(folder) / "v.mp4", decoded(latents, ChunkedVae(vae))[1], 8)
        whole = time.perf_counter() - started
    print(f"Decode Video to File: {whole:.1f} s, of which {whole - clock.spent:.1f} s are not the decoder (encoding, joining)")


def cores(vae: Any, latents: Tensor) -> None:
    """Core's VAE Decode with the same network, in batches that depend on free memory."""
    import comfy.sd

    clock, started = Clock(vae), time.perf_counter()
    comfy.sd.VAE.decode(vae, latents)
    wall = time.perf_counter() - started
    print(f"core's VAE Decode: {wall:.1f} s, {clock.spent:.1f} s of it in the decoder, {ram() / MIB:.1f} MiB at its end")


def seams(vae: Any, folder: Path) -> None:
    """Mean error against decoding without windows, by overlap, for two windows, cross-faded and cut."""
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions
    from zoetrope.hosts.comfyui.vae.video import decode_all, encode_all

    series: dict[str, list[tuple[float, float]]] = {}
    clips = [film(draw(torch.Generator().manual_seed(9_000_000 + n)), 56, PIXELS, rate) for n, rate in enumerate(RATES)]
    latents = [encode_all(iter(clip), len(clip), ChunkedVae(vae)) for clip in clips]
    wholes = [decode_all(one, ChunkedVae(vae, ChunkOptions(56, 0))) for one in latents]
    for size, fade in ((14, True), (14, False), (8, True)):
        points = series.setdefault(f"window {size}, {'cross-faded' if fade else 'cut'}", [])
        for overlap in range(size // 2 + 1):
            made = [decode_all(one, ChunkedVae(vae, ChunkOptions(size, overlap, fade))) for one in latents]
            error = torch.stack([(a - b).abs().mean() for a, b in zip(made, wholes, strict=True)]).mean()
            points.append((overlap, float(error) * 255))
        print(f"{list(series)[-1]}: " + "  ".join(f"{x:.0f}: {y:.3f}" for x, y in points))
    curves("Error against the clip decoded whole, in levels of 255", "overlap in frames", series).save(
        folder / "vae-overlap.png"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--side", type=int, default=PIXELS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seams", type=Path, help="only measure overlaps, and write the chart into this folder")
    arguments = parser.parse_args()
    if not HOST:
        raise SystemExit(WHY)
    torch.set_num_threads(arguments.threads)
    from zoetrope.hosts.comfyui.vae.from_file import load_temporal_vae

    vae = load_temporal_vae(str(part_path(TEMPORAL_VAE)))
    with torch.inference_mode():
        if arguments.seams:
            seams(vae, arguments.seams)
            return
        latents = torch.randn(arguments.frames, 4, arguments.side // 8, arguments.side // 8)
        throughput(vae, latents)
        cores(load_temporal_vae(str(part_path(TEMPORAL_VAE))), latents)


if __name__ == "__main__":
    main()
