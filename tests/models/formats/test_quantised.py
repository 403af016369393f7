"""Weights in fp8 load as any others; those that are stored with scales beside them are named, with what to do."""

import pytest
import torch
from small_files import FILES, LOADERS
from torch import Tensor
from zoetrope.models.formats.quantised import layout_of
from zoetrope.models.formats.strict import is_finite

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)


@pytest.mark.parametrize("dtype", FP8)
@pytest.mark.parametrize("sort", FILES)
def test_plain_fp8_loads(sort: str, dtype: torch.dtype) -> None:
    tensors = {key: value.to(dtype) for key, value in FILES[sort]().items()}
    loaded = LOADERS[sort](tensors)
    network = {"motion": "motion", "sparsectrl": "motion", "projector": "network", "vae": "network"}.get(sort)
    if network is None:
        return
    assert {value.dtype for value in getattr(loaded, network).parameters()} == {dtype}
    if sort in ("projector", "vae", "motion"):
        assert getattr(loaded, network).float().state_dict().keys()  # a host may cast it


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_number_is_found_wherever_it_stands(dtype: torch.dtype, bad: float) -> None:
    for length in (1, 7, 8, 16, 33, 1000):
        for place in {0, length // 2, length - 1}:
            value = torch.randn(length).to(dtype)
            assert is_finite(value)
            value[place] = bad
            assert not is_finite(value)


@pytest.mark.parametrize("dtype", [*FP8, torch.float16, torch.float32])
def test_numbers_that_are_none_are_found_in_every_type(dtype: torch.dtype) -> None:
    value = torch.tensor([0.5, -1.0, float("nan")]).to(dtype)
    assert not is_finite(value)
    assert is_finite(value[:2])
    tensors = {key: each.to(dtype) for key, each in FILES["motion"]().items()}
    key = next(iter(tensors))
    tensors[key] = torch.full(tensors[key].shape, float("nan")).to(dtype)
    with pytest.raises(ValueError, match="infinite or NaN"):
        LOADERS["motion"](tensors)


def beside(tensors: dict[str, Tensor], *names: str, weight: str = "weight") -> dict[str, Tensor]:
    """The same with further tensors beside each weight, whose own name may be another."""
    named = {key.removesuffix("weight") + weight if key.endswith(".weight") else key: value for key, value in tensors.items()}
    places = [key.removesuffix("weight") for key in tensors if key.endswith(".weight")]
    return named | {place + name: torch.ones(1) for place in places for name in names}


LAYOUTS = {
    "scaled fp8": lambda t: beside(t, "scale_weight", "scale_input") | {"scaled_fp8": torch.zeros(2)},
    "scaled fp8, newer": lambda t: beside(t, "weight_scale", "input_scale"),
    "ComfyUI": lambda t: beside(t, "comfy_quant"),
    "NVFP4": lambda t: beside(t, "weight_scale", "weight_scale_2"),
    "NF4": lambda t: beside(t, "weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4"),
    "FP4": lambda t: beside(t, "weight.absmax", "weight.quant_state.bitsandbytes__fp4"),
    "int8": lambda t: beside(t, "SCB"),
    "GPTQ": lambda t: beside(t, "qzeros", "scales", "g_idx", weight="qweight"),
    "quanto": lambda t: beside(t, "weight._scale", weight="weight._data"),
    "SVDQuant": lambda t: beside(t, "wscales", "smooth_factor", weight="qweight"),
    "HQQ": lambda t: beside(t, "scale", weight="W_q"),
    "compressed-tensors": lambda t: beside(t, "weight_shape", weight="weight_packed"),
    "numbers of the type int8": lambda t: {key: value.to(torch.int8) for key, value in t.items()},
}
if hasattr(torch, "float4_e2m1fn_x2"):  # torch 2.6 has no such type, and so no such files
    LAYOUTS["numbers of the type float4_e2m1fn_x2"] = lambda t: {
        k: torch.zeros(v.shape, dtype=torch.uint8).view(torch.float4_e2m1fn_x2) if v.ndim > 1 else v for k, v in t.items()
    }


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("sort", ["motion", "projector", "vae"])
def test_quantised_layouts_are_named_with_the_file_and_what_to_do(sort: str, name: str) -> None:
    tensors = LAYOUTS[name](FILES[sort]())
    layout = layout_of(tensors)
    assert layout
    with pytest.raises(ValueError, match=r"this is .*, stored as .*not quantised, such as its fp16 version") as error:
        LOADERS[sort](tensors)
    assert layout in str(error.value)
    assert "Load" not in str(error.value)


def test_a_quantised_file_of_another_sort_is_told_by_its_sort_first() -> None:
    with pytest.raises(
        ValueError, match=r"not a motion module but a VAE .*core's Load VAE.* Its weights are stored as scaled fp8"
    ):
        LOADERS["motion"](LAYOUTS["scaled fp8"](FILES["vae"]()))


@pytest.mark.parametrize("sort", FILES)
def test_plain_files_are_not_taken_for_quantised_ones(sort: str) -> None:
    assert layout_of(FILES[sort]()) is None
