"""Table of the errors that golden tests measure: `make parity` runs them on every host and writes docs/parity.md.

With $PARITY set, each run appends its rows to that file; `python parity.py ROWS` prints the table.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    family: str
    what: str
    where: str
    """`core`, `diffusers` or `ComfyUI <version>`."""
    error: float
    tolerance: float


@dataclass(frozen=True)
class Mapped:
    family: str
    member: str
    name: str
    """Name of the published key list."""
    keys: int
    layers: int


MEASURED: list[Measured] = []
MAPPED: list[Mapped] = []


def within(family: str, what: str, where: str, error: float, tolerance: float) -> bool:
    """Records an error for the table. Returns whether it is within the tolerance."""
    MEASURED.append(Measured(family, what, where, error, tolerance))
    return error <= tolerance


def mapped(family: str, member: str, name: str, keys: int, layers: int) -> None:
    MAPPED.append(Mapped(family, member, name, keys, layers))


def write_rows() -> None:
    """Appends the measurements of a run to the file `$PARITY`, if it is set."""
    if path := os.environ.get("PARITY"):
        with Path(path).open("a") as file:
            for row in (*MAPPED, *MEASURED):
                file.write(json.dumps({"kind": type(row).__name__, **asdict(row)}) + "\n")


def table(mapped_rows: Iterable[Mapped], measured: Iterable[Measured]) -> str:
    return "\n".join([
        "# Parity with the originals",
        "Written by `make parity`; do not edit.",
        "",
        "## Key lists",
        "Full-size files of these keys and shapes are known by their keys alone, map to ours with none missing and none left",
        "over, and map back.",
        "",
        "| family | member | published keys of | keys | temporal layers |",
        "|---|---|---|---|---|",
        *sorted({f"| {m.family} | {m.member} | {m.name} | {m.keys} | {m.layers} |" for m in mapped_rows}),
        "",
        "## Outputs",
        "Largest absolute difference to what the original code computed, float32 on a CPU, and the tolerance that the golden",
        "file states.",
        "",
        "| family | case | where | error | tolerance |",
        "|---|---|---|---|---|",
        *(f"| {m.family} | {m.what} | {m.where} | {m.error:.1e} | {m.tolerance:.1e} |" for m in worst(measured)),
    ])  # fmt: skip


def worst(measured: Iterable[Measured]) -> list[Measured]:
    """One row per case and place: the largest error."""
    found: dict[tuple[str, str, str], Measured] = {}
    for row in measured:
        key = (row.family, row.what, row.where)
        if key not in found or row.error > found[key].error:
            found[key] = row
    return [found[key] for key in sorted(found)]


if __name__ == "__main__":
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    kinds = {kind.__name__: kind for kind in (Mapped, Measured)}
    made = [kinds[row.pop("kind")](**row) for row in rows]
    print(table((m for m in made if isinstance(m, Mapped)), (m for m in made if isinstance(m, Measured))))
