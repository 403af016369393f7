"""Video of a shot through decoders with windows: latents ahead, resumed and lengthened shots, other decoders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from films import read_video
from shot_process import DECODERS, SEGMENT, CheapSampler, all_latents, journal, picture_hash, take
from torch import Tensor
from zoetrope.shots.journal import State
from zoetrope.shots.sinks import DecodedFrame, Step
from zoetrope.shots.videos import decoding_for

pytest.importorskip("av")
LENGTHS = {"windows": 20, "causal": 60, "carried": 60}


class Stop(Exception):
    """What an interrupt looks like."""


class StoppingAt(CheapSampler):
    def __init__(self, latent: int, decoder: str):
        super().__init__(decoder=decoder)
        self._latent = latent

    def steps(self, state: State | None) -> Iterator[Step]:
        for step in super().steps(state):
            if step.frame - 1 == self._latent:
                raise Stop
            yield step


@pytest.fixture(scope="module", params=list(LENGTHS))
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tensor, str]:
    folder = tmp_path_factory.mktemp("undisturbed") / "shot"
    made = take(folder, LENGTHS[request.param], CheapSampler(decoder=request.param))
    return request.param, all_latents(folder, 999), picture_hash(made.video)


def test_later_latents_are_sampled_stored_and_not_part_of_the_video(
    tmp_path: Path, undisturbed: tuple[str, Tensor, str]
) -> None:
    decoder, latents, _ = undisturbed
    frames = LENGTHS[decoder]
    assert len(latents) == DECODERS[decoder].latents(frames)
    made = take(tmp_path / "shot", frames, CheapSampler(decoder=decoder))
    assert len(read_video(made.video)[0]) == frames
    assert torch.equal(made.latents, latents[: DECODERS[decoder].ratio.latents(frames)][-16:]), "continued after the last frame"


@pytest.mark.parametrize("latent", [0, 4, 5, 7, 12, 14])
def test_a_stopped_shot_is_playable_and_continued_to_the_same_bits(
    tmp_path: Path, undisturbed: tuple[str, Tensor, str], latent: int
) -> None:
    decoder, latents, expected = undisturbed
    folder, frames = tmp_path / "shot", LENGTHS[decoder]
    with pytest.raises(Stop):
        take(folder, frames, StoppingAt(latent, decoder))
    final = min(frames, DECODERS[decoder].final(latent))
    if final:
        assert len(read_video(folder / "unfinished.mp4")[0]) == final
    made = take(folder, frames, CheapSampler(decoder=decoder))
    assert made.resumed == final
    assert torch.equal(all_latents(folder, 999), latents)
    assert picture_hash(made.video) == expected


def test_lengthened_shots_and_single_segments_have_the_same_pixels(
    tmp_path: Path, undisturbed: tuple[str, Tensor, str]
) -> None:
    decoder, _, expected = undisturbed
    folder, frames = tmp_path / "shot", LENGTHS[decoder]
    looks: list[DecodedFrame] = []
    for length in (1, 2, 9, frames // 2):
        made = take(folder, length, CheapSampler(decoder=decoder), looks)
        assert len(read_video(made.video)[0]) == length
    longer = take(folder, frames, CheapSampler(decoder=decoder))
    assert picture_hash(longer.video) == expected
    second = folder / "video_00001.mp4"
    count = len(read_video(second)[0])
    assert count == SEGMENT * DECODERS[decoder].ratio.each
    for path in (second, longer.video):
        path.unlink()
    assert picture_hash(take(folder, frames, CheapSampler(decoder=decoder)).video) == expected, "one segment is decoded alone"


def test_each_decoder_has_files_of_its_own_and_a_record(tmp_path: Path) -> None:
    folder = tmp_path / "shot"
    first = take(folder, 8)
    stored = journal(folder)
    second = decoding_for(stored, {"fps": 12.0})
    assert (second.folder, second.reason) == (folder / "decoded_2", ["fps (8.0, now 12.0)"])
    assert decoding_for(stored, {"fps": 8.0}).folder == first.video.parent == folder
    second.save_tiles({3: 256})
    again = decoding_for(stored, {"fps": 12.0})
    assert (again.folder, again.reason, again.tiles()) == (second.folder, [], {3: 256})
    (folder / "video.json").write_text('{"decoded": [{"settings": 3}]}')
    with pytest.raises(ValueError, match=r"video\.json: damaged .*; delete it and the videos beside it, which are"):
        take(folder, 8)


def test_the_videos_of_a_journal_without_a_record_stay_those_of_its_settings(tmp_path: Path) -> None:
    """Version 0.1 stored VAE and frame rate with the settings of the latents, and decoded frame by frame."""
    from shot_process import LATENT, SETTINGS, SHAPE
    from zoetrope.shots.journal import Journal, Sizes

    settings = {**SETTINGS, "fps": 8.0, "vae": "sha256:a"}
    old = Journal.create(tmp_path / "shot", Sizes(SHAPE.places, SEGMENT, LATENT), settings, {"VAE precision": "fp16"})
    known = {"fps": 8.0, "vae": "sha256:a", "VAE precision": "fp16", "decoding": "frame by frame"}
    assert decoding_for(old, known).folder == old.folder
    windows = decoding_for(old, {**known, "decoding": "windows of 5"})
    assert (windows.folder.name, windows.reason) == ("decoded_2", ["decoding (frame by frame, now windows of 5)"])
