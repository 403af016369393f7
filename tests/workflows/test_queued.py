"""The frontend's part of queueing, as tests of servers play it."""

from typing import Any

from templates.drawing import Workflow, column, node
from templates.queued import api_form

CODEC = {"codec": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "auto", "inputs": {}}, {"key": "av1", "inputs": {"optional": {
    "crf": ["FLOAT", {"default": 30.0}]}}}]}]}  # fmt: skip
INFO: dict[str, Any] = {
    "SaveVideo": {
        "input": {
            "required": {
                "filename_prefix": ["STRING", {"default": "video/ComfyUI"}],
                "format": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {"options": [{"key": "auto", "inputs": {"required": CODEC}}, {"key": "gif", "inputs": {}}]},
                ],
            }
        }
    }
}
"""Reference: /object_info of ComfyUI 0.33, shortened."""


def queued(**inputs: Any) -> dict[str, Any]:
    save = node("save", "SaveVideo", "In output/video", filename_prefix="a", **inputs)
    return api_form(Workflow("w", "0.3.64", "", (column("Save", save),)), INFO)["1"]["inputs"]


def test_a_dynamic_choice_brings_the_inputs_of_what_is_chosen() -> None:
    assert queued() == {"filename_prefix": "a", "format": "auto", "format.codec": "auto"}
    assert queued(format="gif") == {"filename_prefix": "a", "format": "gif"}
    assert queued(**{"format.codec": "av1"}) == {
        "filename_prefix": "a", "format": "auto", "format.codec": "av1", "format.codec.crf": 30.0,
    }  # fmt: skip
