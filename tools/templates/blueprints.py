"""Blueprints: parts of a graph that the editor offers as one node (ComfyUI 0.3.67 and newer), for subgraphs/*.json.

Each is drawn like a workflow; what comes from outside (models, a picture) and the widgets that an artist changes become inputs of
the one node.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .drawing import Workflow, column, draw, node, slots_of
from .parts import avoid, decode, frames, motion, prompt, sampler, timeline

ENTRY, EXIT = -10, -20
"""The editor's own numbers for the two ends of a subgraph."""


@dataclass(frozen=True)
class Blueprint:
    title: str
    description: str
    inside: Workflow
    given: Mapping[str, tuple[str, ...]]
    """Input of the node -> inputs inside, each `key.input`."""
    widgets: Mapping[str, str]
    """Label of a widget of the node -> `key.widget` inside."""
    makes: Mapping[str, str]
    """Output of the node -> `key.output` inside."""


def inside(name: str, *columns: Any) -> Workflow:
    return Workflow(name, "0.3.64", "", columns)


def made(blueprint: Blueprint, info: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a blueprint. info: the host's /object_info."""
    graph = draw(blueprint.inside, info)
    keys = [one.key for one in (one for part in blueprint.inside.columns for one in part.nodes)]
    nodes = dict(zip(keys, graph["nodes"], strict=False))
    ways = {one["id"]: one["parentId"] for one in graph["extra"]["linkExtensions"]}
    links = [_link(*link, **({"parentId": ways[link[0]]} if link[0] in ways else {})) for link in graph["links"]]
    inputs = [_input(blueprint, label, goals, nodes, links, info) for label, goals in _entries(blueprint).items()]
    outputs = [_output(blueprint, label, goal, nodes, links) for label, goal in blueprint.makes.items()]
    number = str(uuid.uuid5(uuid.NAMESPACE_URL, f"zoetrope/subgraph/{blueprint.title}"))
    right = max(one["pos"][0] + one["size"][0] for one in nodes.values())
    definition = {
        "id": number, "version": 1, "revision": 0, "config": {}, "name": blueprint.title, "description": blueprint.description,
        "state": {"lastGroupId": len(graph["groups"]), "lastNodeId": len(nodes), "lastLinkId": len(links),
                  "lastRerouteId": len(graph["extra"]["reroutes"])},
        "inputNode": {"id": ENTRY, "bounding": [-360, 0, 140, 40 + 20 * len(inputs)]},
        "outputNode": {"id": EXIT, "bounding": [right + 140, 0, 120, 40 + 20 * len(outputs)]},
        "inputs": inputs, "outputs": outputs, "widgets": [], "nodes": list(nodes.values()), "groups": graph["groups"],
        "links": links, "reroutes": graph["extra"]["reroutes"], "extra": {}, "category": "Zoetrope",
    }  # fmt: skip
    return {
        "revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [_outside(blueprint, number, inputs, outputs, nodes)],
        "links": [], "version": 0.4, "definitions": {"subgraphs": [definition]}, "extra": {},
    }  # fmt: skip


def _entries(blueprint: Blueprint) -> dict[str, tuple[str, ...]]:
    return {**blueprint.given, **{label: (goal,) for label, goal in blueprint.widgets.items()}}


def _link(number: int, source: int, output: int, target: int, slot: int, kind: str, **more: int) -> dict[str, Any]:
    return {
        "id": number,
        "origin_id": source,
        "origin_slot": output,
        "target_id": target,
        "target_slot": slot,
        "type": kind,
        **more,
    }


def _input(
    blueprint: Blueprint,
    label: str,
    goals: tuple[str, ...],
    nodes: Mapping[str, Any],
    links: list[Any],
    info: Mapping[str, Any],
) -> dict[str, Any]:
    at, numbers, kind = list(_entries(blueprint)).index(label), [], ""
    for goal in goals:
        key, _, name = goal.partition(".")
        kind, slot = _socket(nodes[key], name, info, blueprint, key)
        numbers.append(len(links) + 1)
        nodes[key]["inputs"][slot]["link"] = numbers[-1]
        links.append(_link(numbers[-1], ENTRY, at, nodes[key]["id"], slot, kind))
    number = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{blueprint.title}/in/{label}"))
    return {"id": number, "name": label, "type": kind, "linkIds": numbers, "pos": [-240, 20 + 20 * at]}


def _socket(saved: dict[str, Any], name: str, info: Mapping[str, Any], blueprint: Blueprint, key: str) -> tuple[str, int]:
    """(type, slot) of an input inside; a widget gets a socket."""
    found = [slot for slot, one in enumerate(saved["inputs"]) if one["name"] == name]
    if found:
        return saved["inputs"][found[0]]["type"], found[0]
    inner = next(one for part in blueprint.inside.columns for one in part.nodes if one.key == key)
    kind = next(kind for given, kind, _, widget in slots_of(inner, info) if given == name and widget)
    saved["inputs"].append({"name": name, "type": kind, "widget": {"name": name}, "link": None})
    return kind, len(saved["inputs"]) - 1


def _output(blueprint: Blueprint, label: str, goal: str, nodes: Mapping[str, Any], links: list[Any]) -> dict[str, Any]:
    key, _, name = goal.partition(".")
    slot, output = next((slot, one) for slot, one in enumerate(nodes[key]["outputs"]) if one["name"] == name)
    number, at = len(links) + 1, list(blueprint.makes).index(label)
    links.append(_link(number, nodes[key]["id"], slot, EXIT, at, output["type"]))
    output["links"].append(number)
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{blueprint.title}/out/{label}"))
    return {"id": identity, "name": label, "type": output["type"], "linkIds": [number], "pos": [0, 20 + 20 * at]}


def _outside(
    blueprint: Blueprint, number: str, inputs: list[Any], outputs: list[Any], nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """The one node that stands for all of it."""
    goals = [goal.partition(".") for goal in blueprint.widgets.values()]
    sockets = [
        {"name": one["name"], "type": one["type"], "link": None,
         **({"widget": {"name": one["name"]}} if one["name"] in blueprint.widgets else {})}
        for one in inputs
    ]  # fmt: skip
    return {
        "id": 1, "type": number, "title": blueprint.title, "pos": [0, 0], "size": [340, 420], "flags": {}, "order": 0, "mode": 0,
        "inputs": sockets, "outputs": [{"name": one["name"], "type": one["type"], "links": []} for one in outputs],
        "properties": {"proxyWidgets": [[str(nodes[key]["id"]), name] for key, _, name in goals]}, "widgets_values": [],
    }  # fmt: skip


def _sampled(key: str = "sampler") -> dict[str, str]:
    return {one: f"{key}.{one}" for one in ("seed", "steps", "cfg")}


def _size(count: str = "frames") -> dict[str, str]:
    return {"width": "empty.width", "height": "empty.height", **({count: "empty.batch_size"} if count else {})}


VIDEO = node("create", "CreateVideo", "Frames become a video", images="@decode.images", fps=8.0)
TEXT_TO_VIDEO = Blueprint(
    "Text to Video (Zoetrope)",
    "A clip from a prompt: any Stable Diffusion checkpoint and the motion module made for it.",
    inside(
        "text_to_video",
        column("Words and size", prompt("Prompt", "", None), avoid(clip=None), frames("Size and frames", 16, 512)),
        column(
            "Motion",
            motion(None, None, "Motion goes in"),
            sampler("Samples the clip", "@motion.model", "@empty.LATENT", cfg=7.5),
        ),
        column("Video", decode("@sampler.LATENT", None), VIDEO),
    ),
    {
        "model": ("motion.model",),
        "motion": ("motion.motion",),
        "clip": ("prompt.clip", "negative.clip"),
        "vae": ("decode.vae",),
    },
    {"prompt": "prompt.text", "negative": "negative.text", **_size(), **_sampled(), "fps": "create.fps"},
    {"VIDEO": "create.VIDEO", "IMAGE": "decode.images"},
)
PICTURE_TO_VIDEO = Blueprint(
    "Picture to Video (Zoetrope)",
    "A picture starts moving: for motion that was trained with a first frame (DynamiCrafter, the demo model).",
    inside(
        "picture_to_video",
        column("Looks and words", node("looks", "ZoetropeImagePrompt", "What it looks like"), prompt("How it moves", "", None),
               avoid(clip=None), frames("Size and frames", 16, 512)),
        column("Start", node("guide", "ZoetropeFirstLastFrameGuide", "Where it starts", model="@looks.model", latent="@empty.LATENT"),
               sampler("Samples the clip", "@guide.model", "@empty.LATENT", cfg=7.5)),
        column("Video", decode("@sampler.LATENT", None), VIDEO),
    ),
    {"model": ("looks.model",), "motion": ("guide.motion",), "clip": ("prompt.clip", "negative.clip"),
     "vae": ("guide.vae", "decode.vae"), "projector": ("looks.projector",), "clip_vision": ("looks.clip_vision",),
     "picture": ("looks.image", "guide.first")},
    {"prompt": "prompt.text", "negative": "negative.text", **_size(), **_sampled(), "fps": "create.fps"},
    {"VIDEO": "create.VIDEO", "IMAGE": "decode.images"},
)  # fmt: skip
ENDLESS_SHOT = Blueprint(
    "Endless Shot (Zoetrope)",
    "A shot of any length from a timeline of prompts, written to a file while it is sampled; run again to continue it.",
    inside(
        "endless_shot",
        column("Words and size", timeline("Prompts by frame", "0: ", None), avoid(clip=None), frames("Size", 1, 512)),
        column("The shot", motion(None, None, "Motion goes in"),
               node("shot", "ZoetropeEndlessShot", "The shot", model="@motion.model", positive="@timeline.conditioning",
                    negative="@negative.CONDITIONING", latent="@empty.LATENT", seed=0, frames=96, fps=8.0, cfg=7.5), width=380),
    ),
    {"model": ("motion.model",), "motion": ("motion.motion",), "clip": ("timeline.clip", "negative.clip"), "vae": ("shot.vae",)},
    {"timeline": "timeline.text", "negative": "negative.text", **_size(""), "frames": "shot.frames", "fps": "shot.fps",
     "seed": "shot.seed", "cfg": "shot.cfg"},
    {"video": "shot.video"},
)  # fmt: skip
BLUEPRINTS = (TEXT_TO_VIDEO, PICTURE_TO_VIDEO, ENDLESS_SHOT)
