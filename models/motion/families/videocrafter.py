"""VideoCrafter 1 and 2, and DynamiCrafter: Stable Diffusion 2.1's UNet with temporal layers in between.

VideoCrafter1 (arXiv 2310.19512), VideoCrafter2 (2401.09047), DynamiCrafter (2310.12190); AILab-CVC/VideoCrafter 11bcd76,
Doubiiu/DynamiCrafter c453369. Files are whole checkpoints in LDM spelling. Each spatial transformer is followed by a temporal
one of two self-attentions (norm over the clip), in the later members each residual block ends with a temporal convolution, and
a temporal transformer of 8 heads follows the first convolution (`init_attn`). The frame rate is added to the time embedding.
Clean latents are scaled by `scale_arr`.

member                     convolutions   relative tables   fps        scale        prediction
VideoCrafter1 T2V 512      no             yes               none       none         eps
VideoCrafter1 T2V 1024     no             yes               16         1 -> .3      eps
VideoCrafter1 I2V 512      yes            no                8          1 -> .7      eps
VideoCrafter2 T2V 512      yes            no                16         1 -> .7      eps
DynamiCrafter 256          yes            no                3 (stride) none         eps
DynamiCrafter 512, interp  yes            no                24         1 -> .7      v, zero terminal SNR
DynamiCrafter 1024         yes            no                10         1 -> .3      v, zero terminal SNR
"""

from dataclasses import dataclass
from typing import Any, Literal

from ...backbones.unet import SD2, Site
from ...formats.facts import axes, shared
from ...formats.keytable import KeyTable, Row, prefixed, product, weights
from ...formats.ldm import Layout, four_channels, ldm_layout, ldm_spatial
from ...formats.published import Shapes, Spelling
from ...formats.shared_rows import CONV, SCHEDULE_BUFFERS, TRANSFORMER, TRANSFORMER_AS_CONV
from ...layers.blend import Residual
from ...layers.positions import NoPositions, RelativeTable
from ...layers.temporal import FrameAttention, TemporalBlock, TemporalConv, TemporalLayer, TemporalTransformer
from ...layers.tokens import FrameRate
from ..family import Contents, Family, InputScale, NoiseSchedule, Variant
from ..frame_guide import DYNAMICRAFTER

SCHEDULE = NoiseSchedule(curve="root", start=0.00085, end=0.012, steps=1000)
ZERO_SNR = NoiseSchedule(curve="root", start=0.00085, end=0.012, steps=1000, zero_terminal=True)
INIT_HEADS = 8
STAGES = 4


def table(keys: Shapes, prefix: str) -> KeyTable:
    """Key table of a file. prefix: that of the UNet's keys, `model.diffusion_model.` in published files."""
    layout = ldm_layout(keys, prefix)
    inside = (
        *_temporal(layout),
        *prefixed(weights(("0", "proj_in"), ("2", "proj_out")), f"{_rate_name(keys)}.", "time."),
        *four_channels(ldm_spatial(layout), keys, prefix),
        *_image(layout),
    )
    return KeyTable((*prefixed(inside, prefix), *BESIDE))


def _rate_name(keys: Shapes) -> str:
    """Name of the frame-rate embedding, which differs in the published DynamiCrafter 256."""
    return "framestride_embed" if any("framestride_embed." in key for key in keys) else "fps_embedding"


BESIDE = (
    *SCHEDULE_BUFFERS,
    Row("first_stage_model.{*}", "vae:{*}"),
    Row("cond_stage_model.{*}", "text:{*}"),
    Row("embedder.{*}", "vision:{*}"),
    Row("image_proj_model.latents", "projector:latents.table"),
    Row("image_proj_model.{*}", "projector:{*}"),
)


def _temporal(layout: Layout) -> tuple[Row, ...]:
    transformers = [Row(f"{name}.{b.index}.2.", f"{b.site}.attention.") for name, b in layout.named if b.transformer]
    transformers += [Row("middle_block.2.", "mid.attention.")]
    convolutions = [Row(f"{name}.{b.index}.0.temopral_conv.", f"{b.site}.resnet.") for name, b in layout.named]
    convolutions += [Row("middle_block.0.temopral_conv.", "mid.0.resnet.")]
    convolutions += [Row("middle_block.3.temopral_conv.", "mid.1.resnet.")]
    return (
        *product(transformers, TRANSFORMER),
        *product(convolutions, CONV),
        *product((Row("init_attn.0.", "input."),), TRANSFORMER_AS_CONV),
    )


def _image(layout: Layout) -> tuple[Row, ...]:
    """Rows of the image tokens' keys and values, and of DynamiCrafter 256's learned scale, per text attention."""
    places = [(f"{name}.{b.index}.1.", b.site) for name, b in layout.named if b.transformer]
    places += [("middle_block.1.", "mid")]
    names = (("to_k_ip.weight", "to_k.weight"), ("to_v_ip.weight", "to_v.weight"), ("alpha", "weight.alpha"))
    return tuple(
        Row(f"{block}transformer_blocks.0.attn2.{published}", f"image:{site}.attention.0.{ours}")
        for block, site in places
        for published, ours in names
    )


@dataclass(frozen=True)
class Member:
    """Settings of one published model that its shapes do not contain; fields as in `Variant`."""

    fps: float | None
    scale: InputScale | None
    prediction: Literal["eps", "v"]
    note: str


TOKENS = "Image Prompt with its image projector gives it a picture; without one it uses the prompt alone"
PICTURE = "Image Prompt and First/Last Frame Guide give it a picture; without them it uses the prompt alone"
MEMBERS = {
    "VideoCrafter1 T2V 512": Member(None, None, "eps", ""),
    "VideoCrafter1 T2V 1024": Member(16, InputScale(0.3, 400), "eps", ""),
    "VideoCrafter1 I2V 512": Member(8, InputScale(0.7, 400), "eps", TOKENS),
    "VideoCrafter2 T2V 512": Member(16, InputScale(0.7, 400), "eps", ""),
    "DynamiCrafter 256": Member(3, None, "eps", f"fps is its frame stride, 1 to 6; {PICTURE}"),
    "DynamiCrafter 512": Member(24, InputScale(0.7, 400), "v", f"512 and 512 interp have the same keys; {PICTURE}"),
    "DynamiCrafter 512 or 1024": Member(
        24, InputScale(0.7, 400), "v", f"512 or 1024 cannot be distinguished without scale_arr: sampled as 512; {PICTURE}"
    ),
    "DynamiCrafter 1024": Member(10, InputScale(0.3, 400), "v", PICTURE),
}


def variant(contents: Contents) -> Variant:
    name = member_of(contents)
    member = MEMBERS[name]
    return Variant(
        name=name,
        frames=16,
        max_frames=None,
        schedule=ZERO_SNR if member.prediction == "v" else SCHEDULE,
        clip_norms=(),
        notes=(member.note,) if member.note else (),
        prediction=member.prediction,
        scale=member.scale,
        fps=member.fps,
        bases=(SD2.name,),
        guide=DYNAMICRAFTER if "conv_in.weight" in contents.parts.get("image", {}) else None,
        rescale=0.7 if member.prediction == "v" else 0.0,
    )


def member_of(contents: Contents) -> str:
    """Name of the published model, from the keys and buffers of a file."""
    image = contents.parts.get("image", {})
    if any(key.endswith(".alpha") for key in image):
        return "DynamiCrafter 256"
    if "conv_in.weight" in image:
        scale = contents.buffers.get("scale_arr")
        if scale is None or scale.device.type == "meta" or not scale.numel():
            return "DynamiCrafter 512 or 1024"
        return "DynamiCrafter 1024" if float(scale.flatten()[-1]) < 0.5 else "DynamiCrafter 512"
    if image:
        return "VideoCrafter1 I2V 512"
    if any(key.endswith(".resnet.norms.0.weight") for key in contents.weights):
        return "VideoCrafter2 T2V 512"
    return "VideoCrafter1 T2V 1024" if "time.proj_in.weight" in contents.weights else "VideoCrafter1 T2V 512"


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    shapes = contents.weights
    layers: dict[Site, TemporalLayer] = {}
    if "time.proj_in.weight" in shapes:
        channels, width = axes(shapes["time.proj_in.weight"], 2)
        layers["time"] = FrameRate(width, channels, ops)
    head = shapes["input.proj_in.weight"][0] // INIT_HEADS
    for key, shape in shapes.items():
        site, _, name = key.rpartition(".norm.weight")
        if key.endswith(".resnet.norms.0.weight"):
            layers[key.removesuffix(".norms.0.weight")] = TemporalConv(shape[0], STAGES, Residual(), ops)
        elif site and not name:
            layers[site] = transformer(site, shapes, head, ops)
    return layers


def transformer(site: Site, shapes: Shapes, head: int, ops: Any) -> TemporalTransformer:
    """An empty temporal transformer of two self-attentions over frames, norm over the clip.

    head   channels per head: 64 in every published file, an eighth of the first layer's inner width
    """
    inner, channels = axes(shapes[f"{site}.proj_in.weight"], 2)

    def attention(index: int) -> FrameAttention:
        keys = shapes.get(f"{site}.blocks.0.attentions.{index}.positions.keys")
        positions = RelativeTable(keys[0] // 2, keys[1]) if keys else NoPositions()
        return FrameAttention(inner, shared(inner, head), head, positions, ops)

    block = TemporalBlock(inner, [attention(0), attention(1)], ops)
    return TemporalTransformer(channels, [block], inner, "clip", Residual(), ops)


VIDEOCRAFTER = Family(
    name="videocrafter",
    title="VideoCrafter and DynamiCrafter",
    spellings=(Spelling("published", ("input_blocks.0.0.weight", "init_attn.0.proj_in.weight"), (), table),),
    variant=variant,
    build=build,
)
