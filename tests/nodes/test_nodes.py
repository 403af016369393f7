"""The nodes as the host sees them: schema, files, refusals."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import own_motion
from safetensors.torch import save_file
from zoetrope.models.backbones.unet import Base, sites_of

pytestmark = pytest.mark.host

TINY = Base("tiny", (32, 64), 1, (True, False), 16)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder of the host's that holds one motion module."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", dict(folder_paths.folder_names_and_paths))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    for name in ("animatediff_models", "zoetrope_motion"):
        folder_paths.folder_names_and_paths.pop(name, None)
        (tmp_path / name).mkdir()
    from zoetrope.nodes.files import register_folders

    register_folders()
    motion = own_motion({s: w for s, w in sites_of(TINY).items() if not s.endswith("out")})
    save_file({k: v.contiguous() for k, v in motion.state_dict().items()}, tmp_path / "animatediff_models" / "m.safetensors")
    return tmp_path / "animatediff_models"


IDS = {
    "ZoetropeLoadMotionModule",
    "ZoetropeLoadVideoCheckpoint",
    "ZoetropeLoadDemoModel",
    "ZoetropeApplyMotionModule",
    "ZoetropeMotionSettings",
    "ZoetropeApplyMotionLora",
    "ZoetropeMotionReport",
    "ZoetropeLoadTemporalVae",
    "ZoetropeEncodeVideo",
    "ZoetropeDecodeVideo",
    "ZoetropeDecodeVideoToFile",
    "ZoetropeVaeRoundTrip",
    "ZoetropeEndlessShot",
    "ZoetropePromptTimeline",
    "ZoetropeQueueSettings",
    "ZoetropeShotPlan",
    "ZoetropeFifoSampler",
    "ZoetropeSlidingWindows",
    "ZoetropeLongShotNoise",
    "ZoetropeLoadImageProjector",
    "ZoetropeImagePrompt",
    "ZoetropeFirstLastFrameGuide",
    "ZoetropeLoadVideoUpscaler",
    "ZoetropeLoadDemoUpscaler",
    "ZoetropeInterpolateFrames",
    "ZoetropeUpscaleVideo",
    "ZoetropeMatchColour",
    "ZoetropeVideoMetrics",
    "ZoetropeLoadVideoSegment",
    "ZoetropeLoadSparseCtrl",
    "ZoetropeGuidanceInterval",
    "ZoetropeLookAcrossFrames",
    "ZoetropeLoraByFrame",
    "ZoetropeMergeAcrossFrames",
    "ZoetropeInvertVideo",
    "ZoetropeKeyframes",
    "ZoetropeAnchor",
    "ZoetropeLiveShot",
    "ZoetropeFollowFlow",
    "ZoetropeRestyleVideo",
    "ZoetropeAddFilmDamage",
    "ZoetropeDetectDamage",
    "ZoetropeRestoreFilm",
    "ZoetropeRepaintDamage",
    "ZoetropeLoadRestorationControl",
}


def extension_nodes() -> list[Any]:
    from zoetrope.nodes import comfy_entrypoint

    return asyncio.run(asyncio.run(comfy_entrypoint()).get_node_list())


def test_every_node_has_a_stable_id_ascii_names_a_tooltip_on_every_input_and_a_help_page() -> None:
    ids = {}
    for node in extension_nodes():
        schema = node.GET_SCHEMA()
        ids[schema.node_id] = schema
        assert schema.node_id.startswith("Zoetrope")
        assert "." not in schema.node_id
        assert schema.category.startswith("Zoetrope/")
        assert (schema.display_name + schema.category + schema.description).isascii()
        assert all(i.tooltip for i in schema.inputs), schema.node_id
        assert all(o.tooltip for o in schema.outputs), schema.node_id
        page = Path(__file__).parents[2] / "web" / "docs" / f"{schema.node_id}.md"
        text = page.read_text()
        assert all(f"`{i.id}`" in text for i in schema.inputs), f"{page.name} leaves out an input"
    assert set(ids) == IDS


def test_load_then_apply_then_sample(folder: Path, tiny: Any) -> None:
    from zoetrope.nodes.load import LoadMotionModule
    from zoetrope.nodes.motion import ApplyMotionModule

    assert LoadMotionModule.define_schema().inputs[0].options == ["m.safetensors"]
    (motion,) = LoadMotionModule.execute("m.safetensors").args
    base = tiny.model()
    (patched,) = ApplyMotionModule.execute(base, motion, 1.0, "from motion module").args
    (off,) = ApplyMotionModule.execute(base, motion, 0.0, "from motion module", 0).args
    plain = tiny.sample(base)
    assert torch.equal(tiny.sample(off), plain)
    assert not torch.allclose(tiny.sample(patched), plain, atol=1e-3)


def test_our_own_folder_is_looked_in_as_well(folder: Path) -> None:
    import folder_paths
    from zoetrope.nodes.files import MOTION, files_of, path_of

    own = folder.parent / "zoetrope_motion" / "own.safetensors"
    own.write_bytes((folder / "m.safetensors").read_bytes())
    folder_paths.filename_list_cache.clear()
    assert files_of(MOTION) == {"m.safetensors": "animatediff_models", "own.safetensors": "zoetrope_motion"}
    assert Path(path_of(MOTION, "own.safetensors")) == own


def test_files_outside_the_hosts_folders_are_never_read(folder: Path) -> None:
    from zoetrope.nodes.files import MOTION, path_of

    outside = folder.parent / "secret.safetensors"
    outside.write_bytes((folder / "m.safetensors").read_bytes())
    for name in ("../secret.safetensors", str(outside), "..\\secret.safetensors", "", "(no file yet)", "gone.safetensors"):
        with pytest.raises(ValueError, match=r"no such file\. Put a \.safetensors or \.ckpt into models/animatediff_models"):
            path_of(MOTION, name)


def test_other_files_are_not_offered_and_an_empty_folder_says_so(folder: Path) -> None:
    from zoetrope.nodes.files import MOTION, files_of
    from zoetrope.nodes.load import LoadMotionModule

    (folder / "readme.txt").write_text("hello")
    assert list(files_of(MOTION)) == ["m.safetensors"]
    (folder / "m.safetensors").unlink()
    import folder_paths

    folder_paths.filename_list_cache.clear()
    assert LoadMotionModule.define_schema().inputs[0].options == ["(no file yet)"]


def test_a_replaced_file_is_loaded_again(folder: Path) -> None:
    from zoetrope.nodes.load import LoadMotionModule

    path = folder / "m.safetensors"
    before = LoadMotionModule.fingerprint_inputs("m.safetensors")
    assert LoadMotionModule.fingerprint_inputs("m.safetensors") == before
    os.utime(path, ns=(1, 1))
    assert LoadMotionModule.fingerprint_inputs("m.safetensors") != before
    assert LoadMotionModule.fingerprint_inputs("gone.safetensors") != LoadMotionModule.fingerprint_inputs("gone.safetensors")


def test_an_option_that_does_not_exist_is_refused(folder: Path, tiny: Any) -> None:
    from zoetrope.nodes.motion import ApplyMotionModule

    with pytest.raises(ValueError, match="schedule: expected one of from motion module, .*, got 'whatever'"):
        ApplyMotionModule.execute(tiny.model(), None, 1.0, "whatever")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["zoetrope", "Zoetrope.main-1.2 (copy) \u00e9"])
def test_the_hosts_own_loader_takes_the_pack_from_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    from real_server import install_pack

    import nodes as host_nodes

    install_pack(tmp_path / name)
    assert asyncio.run(host_nodes.load_custom_node(str(tmp_path / name)))
    for node in ("ZoetropeLoadMotionModule", "ZoetropeApplyMotionModule"):
        assert tmp_path.name in host_nodes.NODE_CLASS_MAPPINGS.pop(node).__module__


def test_the_demo_nodes_hand_out_the_hosts_own_types(tiny: Any) -> None:
    import comfy.clip_vision
    import comfy.model_patcher
    import comfy.sd
    from zoetrope.hosts.comfyui.conditioning.image_prompt import HostProjector
    from zoetrope.hosts.comfyui.motion.apply import HostMotion
    from zoetrope.nodes.load import LoadDemoModel
    from zoetrope.nodes.vae import DecodeVideo, EncodeVideo

    model, clip, vae, motion, temporal_vae, projector, clip_vision = LoadDemoModel.execute().result
    assert isinstance(model, comfy.model_patcher.ModelPatcher)
    assert isinstance(clip, comfy.sd.CLIP)
    assert isinstance(vae, comfy.sd.VAE)
    assert isinstance(motion, HostMotion)
    assert isinstance(temporal_vae, comfy.sd.VAE)
    assert isinstance(projector, HostProjector)
    assert isinstance(clip_vision, comfy.clip_vision.ClipVisionModel)
    pictures = torch.rand(5, 64, 72, 4, generator=torch.Generator().manual_seed(0))  # with an alpha channel
    latent = EncodeVideo.execute(pictures, vae, 2).result[0]
    assert latent["samples"].shape == (5, 4, 8, 9)
    shown = DecodeVideo.execute(latent, vae, 3).result[0]
    assert shown.shape == (5, 64, 72, 3)
    assert (shown.device.type, shown.dtype) == ("cpu", torch.float32)
    assert shown.min() >= 0
    assert shown.max() <= 1
    del model, clip, vae, motion, temporal_vae, projector, clip_vision
    tiny.unload()


def test_motion_settings_reach_the_sampling(folder: Path, tiny: Any) -> None:
    from zoetrope.nodes.load import LoadMotionModule
    from zoetrope.nodes.motion import ApplyMotionModule, MotionSettings

    (motion,) = LoadMotionModule.execute("m.safetensors").args
    base = tiny.model()

    def sampled(strength: float, **chosen: Any) -> torch.Tensor:
        given = {
            "longer_clips": "refuse",
            "conditioning_fps": 0.0,
            "levels": "",
            "strength_per_frame": "",
            "amount_per_frame": "",
        }
        (settings,) = MotionSettings.execute(**{**given, "scaled_latents": "scaled", **chosen}).args
        arguments = (base, motion, strength, "from motion module")
        return tiny.sample(ApplyMotionModule.execute(*arguments, settings=settings).args[0])

    (plain,) = ApplyMotionModule.execute(base, motion, 0.5, "from motion module").args
    expected = tiny.sample(plain)
    assert torch.equal(sampled(0.5), expected)
    assert torch.allclose(sampled(1.0, strength_per_frame="0.5"), expected, atol=1e-3, rtol=1e-4)
    assert torch.allclose(sampled(1.0, strength_mask=torch.full((1, 8, 8), 0.5)), expected, atol=1e-3, rtol=1e-4)
    assert torch.allclose(sampled(0.5, levels="down: 1, up: 1"), expected)
    assert not torch.allclose(sampled(0.5, amount_per_frame="0, 2"), expected, atol=1e-3)
    for field, value, message in (
        ("levels", "sideways: 1", "levels: part 1"),
        ("amount_per_frame", "1, many", "amount_per_frame: part 2 is 'many'"),
        ("longer_clips", "whatever", "longer_clips: expected one of refuse"),
    ):
        with pytest.raises(ValueError, match=message):
            sampled(0.5, **{field: value})


def test_a_motion_lora_is_loaded_from_the_list_and_applied(folder: Path, tiny: Any, tmp_path: Path) -> None:
    from layers import animatediff_file, noise
    from zoetrope.hosts.comfyui.motion import apply as comfyui
    from zoetrope.nodes.files import LORA, files_of
    from zoetrope.nodes.motion import ApplyMotionLora, ApplyMotionModule, MotionReport

    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_v_lora"
    loras = tmp_path / "zoetrope_motion_lora"
    loras.mkdir(exist_ok=True)
    save_file({f"{place}.down.weight": noise(4, 32), f"{place}.up.weight": noise(32, 4, seed=3)}, loras / "pan.safetensors")
    assert "pan.safetensors" in files_of(LORA)
    motion = comfyui.load(str(animatediff_file(tmp_path / "v3.safetensors")))
    (turned,) = ApplyMotionLora.execute(motion, "pan.safetensors", 0.7).args
    base = tiny.model()
    outputs = [tiny.sample(ApplyMotionModule.execute(base, m, 1.0, "from motion module").args[0]) for m in (motion, turned)]
    assert not torch.allclose(*outputs, atol=1e-4)
    with pytest.raises(ValueError, match=r"motion LoRA 'tilt.safetensors': no such file.*animatediff_motion_lora"):
        ApplyMotionLora.execute(motion, "tilt.safetensors", 1.0)
    same, later, none = (
        ApplyMotionLora.execute(motion, "pan.safetensors", 0.7, text).args[0] for text in (" ", "0: 0 / 4: 1", "0")
    )
    assert [strength for _, strength in same.loras] == [0.7]
    assert not same.by_frame
    assert later.by_frame[0].strength.flatten().tolist() == pytest.approx([0, 0, 0, 0, 0.7])
    assert not later.loras
    assert none is motion
    with pytest.raises(ValueError, match="strength_by_frame"):
        ApplyMotionLora.execute(motion, "pan.safetensors", 0.7, "0: much")
    (text,) = MotionReport.execute(motion).args
    assert "AnimateDiff v3" in text
    assert "sha256" in text
