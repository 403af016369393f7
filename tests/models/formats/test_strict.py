"""A damaged file is told as one; a bug of ours never is: it comes through as the error that it is, wherever it is met."""

import builtins
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import own_motion
from safetensors.torch import save_file
from torch import nn
from zoetrope.cli import main
from zoetrope.models.errors import DoesNotFit, WrongFile
from zoetrope.models.formats.facts import FileShapes, Shape, axes, header_number, largest, shared, smallest, under
from zoetrope.models.motion import families
from zoetrope.models.motion.loading import load_motion

SITES = {"down.0.0.resnet": 32, "down.0.0.attention": 32}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sound.safetensors"
    save_file({key: value.contiguous() for key, value in own_motion(SITES, frames=8).state_dict().items()}, path)
    return path


def wrong_call(contents: Any, ops: Any) -> Any:
    return ops.Linear()


def wrong_name(contents: Any, ops: Any) -> Any:
    return contents.wieghts


def wrong_key(contents: Any, ops: Any) -> Any:
    return {"a": 1}["b"]


def wrong_unpacking(contents: Any, ops: Any) -> Any:
    a, b = (1, 2, 3)  # type: ignore[misc]
    return a, b


def wrong_index(contents: Any, ops: Any) -> Any:
    return [][0]


def wrong_maths(contents: Any, ops: Any) -> Any:
    return torch.zeros(2) @ torch.zeros(3)


def nothing_to_divide_by(contents: Any, ops: Any) -> Any:
    return 1 // len(())


BUGS: dict[Callable[..., Any], str] = {
    wrong_call: "TypeError", wrong_name: "AttributeError", wrong_key: "KeyError", wrong_unpacking: "ValueError",
    wrong_index: "IndexError", wrong_maths: "RuntimeError", nothing_to_divide_by: "ZeroDivisionError",
}  # fmt: skip


@pytest.fixture(params=BUGS, ids=lambda bug: bug.__name__)
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The pack with a family whose `build` has a bug."""
    changed = [replace(one, build=request.param) if one.name == "zoetrope" else one for one in families.FAMILIES]
    monkeypatch.setattr(families, "FAMILIES", tuple(changed))
    return request.param


def told_truly(error: BaseException, bug: Callable[..., Any]) -> None:
    assert type(error) is getattr(builtins, BUGS[bug])
    assert "download" not in str(error)
    trace = error.__traceback__
    while trace and trace.tb_next and trace.tb_frame.f_code.co_name != bug.__name__:
        trace = trace.tb_next
    assert trace
    assert trace.tb_frame.f_code.co_name == bug.__name__, "the traceback leads to the bug"


def test_a_bug_in_a_family_comes_through(file: Path, broken: Callable[..., Any]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one it must be is checked below
        load_motion(file)
    told_truly(caught.value, broken)


def test_a_bug_in_a_family_comes_through_the_command_line(
    file: Path, broken: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors of other types than ValueError end with their traceback; a ValueError is printed in its own words."""
    if BUGS[broken] == "ValueError":
        assert main(["inspect", str(file)]) == 2
        assert capsys.readouterr().err == "zoetrope: too many values to unpack (expected 2)\n"
        return
    with pytest.raises(Exception) as caught:  # noqa: PT011
        main(["inspect", str(file)])
    told_truly(caught.value, broken)


@pytest.mark.host
def test_a_bug_in_a_family_comes_through_the_host(file: Path, broken: Callable[..., Any]) -> None:
    from zoetrope.hosts.comfyui.motion.apply import load

    with pytest.raises(Exception) as caught:  # noqa: PT011
        load(str(file))
    told_truly(caught.value, broken)


def test_sizes_that_no_layer_can_have_are_the_files_fault(file: Path, tmp_path: Path) -> None:
    """Norms of 20 channels do not go into 32 groups: torch's own layers say so."""
    state = own_motion(SITES, frames=8).state_dict()
    narrow = {key: value.narrow(0, 0, min(20, value.shape[0])).contiguous() for key, value in state.items()}
    save_file(narrow, tmp_path / "narrow.safetensors")
    with pytest.raises(WrongFile, match=r"^narrow.safetensors: this looks like Zoetrope, but .*(divisible|make a complete)"):
        load_motion(tmp_path / "narrow.safetensors")
    assert load_motion(file)[1].family == "zoetrope"


@pytest.mark.parametrize("text", ["", "-1", "0", "1.5", "many", "٣", "9" * 40])
def test_a_header_that_cannot_be_is_the_files_fault(file: Path, tmp_path: Path, text: str) -> None:
    save_file(own_motion(SITES, frames=8).state_dict(), tmp_path / "odd.safetensors", {"zoetrope.frames": text})
    with pytest.raises(WrongFile, match=r"zoetrope\.frames in its header: expected"):
        load_motion(tmp_path / "odd.safetensors")


def test_facts_of_a_file_that_cannot_be_raise_their_own_error() -> None:
    shapes = FileShapes.of({"a.weight": torch.zeros(4, 2), "b": torch.zeros(())})
    assert (shapes["a.weight"][1], shapes["a.weight"][-1], shapes["a.weight"][:1]) == (2, 2, (4,))
    assert under(shapes, "a.") == {"weight": (4, 2)}
    assert axes(shapes["a.weight"], 2) == (4, 2)
    assert (largest([1, 3], "x"), smallest([1, 3], "x"), shared(8, 2), header_number({}, "n", 5)) == (3, 1, 4, 5)
    wrong: list[Callable[[], Any]] = [
        lambda: shapes["c"], lambda: shapes["a.weight"][2], lambda: shapes["b"][0], lambda: under(shapes, "a.")["x"],
        lambda: axes(Shape((4, 2)), 3), lambda: largest([], "levels"), lambda: smallest([], "levels"), lambda: shared(8, 0),
    ]  # fmt: skip
    for read in wrong:
        with pytest.raises(WrongFile):
            read()
    assert shapes.get("c") is None


def test_a_sound_file_on_another_model_is_told_from_a_wrong_file(file: Path) -> None:
    motion = load_motion(file)[0]
    with pytest.raises(DoesNotFit, match="does not fit this model"):
        motion.check_fit({**SITES, "down.0.0.attention": 64})
    assert not issubclass(DoesNotFit, WrongFile)
    assert all(issubclass(kind, ValueError) for kind in (WrongFile, DoesNotFit))


def test_weights_are_the_files_own_tensors_and_need_no_gradient(file: Path) -> None:
    motion = load_motion(file)[0]
    assert not any(p.requires_grad for p in motion.parameters())
    assert not any(p.is_meta for p in (*motion.parameters(), *motion.buffers()))
    assert isinstance(motion, nn.Module)
    assert not motion.training


def impossible(contents: Any, ops: Any) -> Any:
    return ops.Linear(-1, 4)


def test_a_size_that_torch_refuses_under_the_meta_device_is_the_files_fault(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The innermost frame is `torch.utils._device` there, not the layer's."""
    changed = [replace(one, build=impossible) if one.name == "zoetrope" else one for one in families.FAMILIES]
    monkeypatch.setattr(families, "FAMILIES", tuple(changed))
    with pytest.raises(WrongFile, match=r"sound\.safetensors: this looks like Zoetrope, .*negative dimension"):
        load_motion(file)


def test_a_variant_is_read_before_anything_is_built(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may compute with the file's values; under the meta device tensors have none."""
    own = next(one for one in families.FAMILIES if one.name == "zoetrope")
    devices: list[str] = []

    def variant(contents: Any) -> Any:
        devices.append(torch.zeros(1).device.type)
        return own.variant(contents)

    monkeypatch.setattr(families, "FAMILIES", (replace(own, variant=variant),))
    assert load_motion(file)[1].family == "zoetrope"
    assert devices == ["cpu"]
