"""Estimate of a shot's or job's time, memory and disk space from timed model calls."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Measurements of one model at one size on one machine."""

    call: float
    """Seconds of a model call with one window."""
    shared: dict[int, float]
    """Windows per call -> seconds per window, without those that did not fit into memory."""
    decode: float
    """Seconds to decode and encode a frame."""
    memory: int | None
    """Peak device memory of a call with one window, weights included, in bytes; None where it is unknown."""
    memory_free: int | None
    """Free device memory, in bytes; None where it is unknown."""
    ram: int
    """Main memory of this process, in bytes."""
    ram_total: int | None
    """Main memory of the machine, in bytes; None where it is unknown."""
    disk_free: int
    video_bytes: int
    """Bytes per encoded frame."""


@dataclass(frozen=True)
class Work:
    """Amount of work for a shot."""

    frames: int
    latents: int
    """Latents that the frames need: `sampling.pieces.Pieces.latents`."""
    latents_first: int
    """Latents that the first frame needs."""
    warm_up: int
    """Frames that leave the queue before the first latent of the shot."""
    windows_per_frame: float
    """Windows per latent."""
    base_calls: int
    """Model calls of the first clip."""
    latent_values: int
    """Values per latent frame."""
    places: int


@dataclass(frozen=True)
class Plan:
    """Estimate for a shot."""

    work: Work
    measured: Measured

    @property
    def seconds_per_frame(self) -> float:
        """Mean of the frames, without what comes before the first one."""
        return self.work.windows_per_frame * self.measured.call * self.work.latents / self.work.frames + self.measured.decode

    @property
    def seconds(self) -> float:
        sampled = (self.work.latents + self.work.warm_up) * self.work.windows_per_frame + self.work.base_calls
        return sampled * self.measured.call + self.work.frames * self.measured.decode

    @property
    def disk(self) -> int:
        """Bytes of latents, of video in segments and joined, and of two copies of the state, while it is replaced."""
        state = 2 * 4 * self.work.latent_values * (self.work.places + 16)
        return 4 * self.work.latents * self.work.latent_values + 2 * self.work.frames * self.measured.video_bytes + state

    @property
    def best_together(self) -> int:
        """Recommended windows per call: the fewest within 3 % of the fastest."""
        fastest = min(self.measured.shared.values())
        return min(count for count, seconds in self.measured.shared.items() if seconds <= 1.03 * fastest)

    @property
    def seconds_before(self) -> float:
        """Seconds until the first frame is finished: base clip, warm-up, and the latents that the frame needs."""
        iterations = self.work.warm_up + self.work.latents_first
        return (self.work.base_calls + iterations * self.work.windows_per_frame) * self.measured.call

    def figures(self) -> dict[str, Any]:
        """The plan as plain numbers, in seconds and bytes, for the panel below the node."""
        found = self.measured
        return {
            "frames": self.work.frames, "seconds": self.seconds, "seconds_before": self.seconds_before,
            "seconds_decoding": self.work.frames * found.decode, "seconds_per_frame": self.seconds_per_frame,
            "disk": self.disk, "disk_free": found.disk_free, "ram": found.ram, "ram_total": found.ram_total,
            "device": found.memory, "device_free": found.memory_free, "windows_per_call": self.best_together,
            "warnings": self.warnings(),
        }  # fmt: skip

    def text(self) -> str:
        """The plan as lines of text."""
        work, found = self.work, self.measured
        rows = [
            f"time      {in_words(self.seconds)}: {self.seconds_per_frame:.2f} s a frame ({work.windows_per_frame:.3g} windows "
            f"of {found.call:.2f} s, {found.decode:.2f} s to decode and write); the first frame after "
            f"{in_words(self.seconds_before)}",
            f"disk      {size(self.disk)} of {size(found.disk_free)} free",
            f"memory    {size(found.ram)} of main memory, whatever the length",
        ]
        if found.memory is not None and found.memory_free is not None:
            rows.append(f"device    {size(found.memory)} at the peak, {size(found.memory_free)} free before")
        together = ", ".join(f"{count}: {seconds:.2f} s" for count, seconds in found.shared.items())
        rows.append(f"windows per call (seconds per window)    {together}; {self.best_together} is the best here")
        return "\n".join(rows + [f"! {line}" for line in self.warnings()])

    def warnings(self) -> list[str]:
        """Resources that are too small, each with the setting to lower."""
        found = self.measured
        lines = []
        if self.disk > found.disk_free:
            fits = int(self.work.frames * found.disk_free / self.disk)
            lines.append(f"the disk is too small: lower frames to {fits}, or free {size(self.disk - found.disk_free)}")
        if found.memory is not None and found.memory_free is not None and found.memory > found.memory_free:
            lines.append("the device is too small for this window: lower window, then width and height")
        return lines


@dataclass(frozen=True)
class JobPlan:
    """Estimate for a job that samples a video in windows."""

    frames: int
    """Frames of the new video."""
    calls: int
    """Windows of all steps."""
    places: int
    """Latents in the stored state."""
    latent_values: int
    """Values per latent frame."""
    measured: Measured
    """`decode`: seconds to encode, decode and write a frame."""

    @property
    def seconds(self) -> float:
        return self.calls * self.measured.call + self.frames * self.measured.decode

    @property
    def unfinished(self) -> int:
        """Bytes of latents and of two copies of the state, while it is replaced, until the video is finished."""
        return 4 * self.latent_values * (self.frames + 2 * (self.places + 16))

    @property
    def disk(self) -> int:
        return self.unfinished + self.frames * self.measured.video_bytes

    @property
    def ram(self) -> int:
        """Bytes of main memory, with those of the state and of its stored copy."""
        return self.measured.ram + 2 * 4 * self.latent_values * self.places

    def text(self) -> str:
        """The plan as lines of text."""
        found = self.measured
        rows = [
            f"time      {in_words(self.seconds)}: {self.calls} windows of {found.call:.2f} s in all steps, and {self.frames} "
            f"frames of {found.decode:.2f} s to encode, decode and write",
            f"disk      {size(self.disk)} of {size(found.disk_free)} free; {size(self.unfinished)} of it only until the end",
            f"memory    {size(self.ram)} of main memory, whatever the length",
        ]
        if found.memory is not None and found.memory_free is not None:
            rows.append(f"device    {size(found.memory)} at the peak, {size(found.memory_free)} free before")
        return "\n".join(rows + [f"! {line}" for line in self.warnings()])

    def warnings(self) -> list[str]:
        """Resources that are too small, each with the remedy."""
        found = self.measured
        lines = []
        if self.disk > found.disk_free:
            lines.append(f"the disk is too small: free {size(self.disk - found.disk_free)}, or use a shorter clip")
        if found.ram_total is not None and self.ram > found.ram_total:
            lines.append("main memory is too small: lower steps, window, or the size of the video")
        if found.memory is not None and found.memory_free is not None and found.memory > found.memory_free:
            lines.append("the device is too small for this window: lower window, or the size of the video")
        return lines


def in_words(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Bytes as `12 MB`."""
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
