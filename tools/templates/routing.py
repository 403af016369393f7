"""Positions of nodes and routes of wires.

Nodes are in columns; between columns are gaps, between the nodes of a column spaces. A wire to the next column uses the gap
only. Others cross the columns between (or their own, to a node below) through spaces, or above or below all nodes, by the
shortest route, and change height in gaps only, so that none runs behind a node. Spaces and gaps grow with the wires in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

TITLE, MARGIN, GROUP_HEAD, GAP, BETWEEN = 30, 16, 46, 20, 19
LANE, APART, UP, STEEP = 12, 10, 18, 150
BEND, BUSY = 70, 24
"""Cost in pixels of a bend, and of another wire in the same space."""
Place = tuple[int, int, int, int, int]
"""(column, x, y, width, height) of a node's body."""


@dataclass
class Net:
    """All wires of one output."""

    source: str
    slot: int
    targets: list[tuple[str, int]]
    """(node, input slot)"""
    routes: dict[tuple[str, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Target -> (column, space) that its wire crosses, in order."""

    def spaces(self) -> set[tuple[int, int]]:
        return {space for route in self.routes.values() for space in route}


def port(place: Place, slot: int) -> int:
    """Height of a node's port, between those of the two renderers."""
    return place[2] + 14 + 22 * slot


class Plan:
    """Computes positions of nodes and bends of wires.

    columns   width and nodes (key, height, height of what newer editors may put below it) of each
    """

    def __init__(self, columns: Sequence[tuple[int, Sequence[tuple[str, int, int]]]], nets: Sequence[Net]):
        self._columns, self._nets = columns, nets
        self.places = self._placed()
        for net in nets:
            for goal in sorted(net.targets, key=lambda one: (self.places[one[0]][0], self.places[one[0]][2])):
                net.routes[goal] = self._shortest(net, goal)
        self.places = self._placed()
        self._turns = self._turning_points()

    @property
    def left(self) -> int:
        """Right border for nodes to the left of all columns and wires."""
        return self._right_of(-1) - MARGIN if any(self._bent(net, -1) for net in self._nets) else -3 * MARGIN

    @property
    def bottom(self) -> int:
        return max(self.places[key][2] + height + below for _, nodes in self._columns for key, height, below in nodes)

    def bends(self, net: Net, goal: tuple[str, int]) -> Iterator[tuple[int, int]]:
        """The points where a wire bends."""
        steps = self._steps(net, goal)
        for number, (gap, come, go) in enumerate(steps):
            across = self._turns[gap, id(net)]
            first, last = number == 0, number == len(steps) - 1
            if first and last:
                yield from [(across, come), (across, go)] if abs(come - go) > STEEP else []
            elif come != go or first or last:
                flat = abs(come - go) <= UP
                yield from [(across, come)] if not (first and flat) else []
                yield from [(across, go)] if not (last and flat) and come != go else []

    def _placed(self) -> dict[str, Place]:
        places: dict[str, Place] = {}
        left = 0
        for number, (width, nodes) in enumerate(self._columns):
            y = 0
            for row, (key, height, below) in enumerate(nodes):
                y += TITLE + (self._space(number, row) if row else 0)
                places[key] = (number, left, y, width, height)
                y += height + below
            left += width + self._gap(number)
        return places

    def _space(self, column: int, row: int) -> int:
        """Height of the space above a node."""
        return max(BETWEEN, 9 + LANE * len(self._within(column, row)))

    def _within(self, column: int, row: int) -> list[Net]:
        return [net for net in self._nets if (column, row) in net.spaces()]

    def _gap(self, number: int) -> int:
        """Width of the gap right of a column."""
        return GAP + 2 * MARGIN + APART * sum(bool(self._bent(net, number)) for net in self._nets if net.routes)

    def _bent(self, net: Net, gap: int) -> list[tuple[int, int]]:
        """(from height, to height) of the net's wires that bend in a gap."""
        steps = [(goal, step) for goal in net.targets for step in self._steps(net, goal)]
        return [(come, go) for goal, (at, come, go) in steps if at == gap and (net.routes[goal] or abs(come - go) > STEEP)]

    def _steps(self, net: Net, goal: tuple[str, int]) -> list[tuple[int, int, int]]:
        """(gap, height at its entry, height at its exit) along a wire."""
        source, target = self.places[net.source], self.places[goal[0]]
        heights = [port(source, net.slot), *(self._height(net, *space) for space in net.routes[goal]), port(target, goal[1])]
        right = target[0] > source[0]
        gaps = range(source[0], target[0]) if right else range(source[0], target[0] - 2, -1)
        return list(zip(gaps, heights, heights[1:], strict=False))

    def _height(self, net: Net, column: int, row: int) -> int:
        """Height of a net's wire in a space; above and below all nodes it is the same for all columns."""
        nodes = self._columns[column][1]
        if row == 0:
            return -GROUP_HEAD - 20 - LANE * self._lane(net, above=True)
        if row == len(nodes):
            return self.bottom + MARGIN + 24 + LANE * self._lane(net, above=False)
        key, height, below = nodes[row - 1]
        order = self._within(column, row)
        at = order.index(net) if net in order else 0
        return self.places[key][2] + height + below + 10 + LANE * at

    def _lane(self, net: Net, above: bool) -> int:
        ends = {(number, 0 if above else len(nodes)) for number, (_, nodes) in enumerate(self._columns)}
        there = [one for one in self._nets if one.spaces() & ends]
        return there.index(net) if net in there else len(there)

    def _shortest(self, net: Net, goal: tuple[str, int]) -> tuple[tuple[int, int], ...]:
        source, target = self.places[net.source][0], self.places[goal[0]][0]
        assert target >= source, f"{net.source} -> {goal[0]}: wires go from left to right, or to a node below"
        crossed = range(source + 1, target) if target > source else [source]
        rows = [[(column, row) for row in range(len(self._columns[column][1]) + 1)] for column in crossed]
        return min(product(*rows), key=lambda route: self._cost(net, goal, route))

    def _cost(self, net: Net, goal: tuple[str, int], route: tuple[tuple[int, int], ...]) -> float:
        heights = [port(self.places[net.source], net.slot), *(self._height(net, *space) for space in route),
                   port(self.places[goal[0]], goal[1])]  # fmt: skip
        detour = sum(
            abs(one - other) + (BEND if abs(one - other) > UP else 0) for one, other in zip(heights, heights[1:], strict=False)
        )
        fresh = [space for space in route if space not in net.spaces()]
        return detour + sum(BUSY * (1 + len(self._within(*space))) for space in fresh)

    def _turning_points(self) -> dict[tuple[int, int], int]:
        """(gap, net) -> where it goes up and down, in the order that makes the fewest crossings."""
        turns: dict[tuple[int, int], int] = {}
        for gap in range(-1, len(self._columns)):
            bent = {id(net): self._bent(net, gap) for net in self._nets}
            order = _untangled([(key, moves) for key, moves in bent.items() if moves])
            left = self._right_of(gap) + MARGIN
            room = (self._gap(gap) if gap >= 0 else GAP + 2 * MARGIN + APART * len(order)) - 2 * MARGIN
            for at, key in enumerate(order, 1):
                turns[gap, key] = left + round(room * at / (1 + len(order)))
            turns |= {(gap, key): left + room // 2 for key in bent if key not in order}
        return turns

    def _right_of(self, gap: int) -> int:
        if gap < 0:
            return -GAP - 2 * MARGIN
        _, left, _, width, _ = self.places[self._columns[gap][1][0][0]]
        return left + width


def _untangled(wires: list[tuple[int, list[tuple[int, int]]]]) -> list[int]:
    order = list(wires)
    for _ in range(len(order)):
        for at in range(len(order) - 1):
            one, other = order[at], order[at + 1]
            if _crossings(other[1], one[1]) < _crossings(one[1], other[1]):
                order[at], order[at + 1] = other, one
    return [key for key, _ in order]


def _crossings(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> int:
    """Of two wires that go up and down side by side: what leaves the left one to the right, what comes to the right one."""
    return sum((min(move) < come[1] < max(move)) + (min(come) < move[0] < max(come)) for come in left for move in right)


def knots(plan: Plan, nets: Sequence[Net], number: Mapping[tuple[int, str, int], int]) -> tuple[list[Any], list[Any]]:
    """The editor's reroutes and link extensions. number: (net, target, slot) -> link."""
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    extensions = []
    for net in nets:
        for goal in net.targets:
            link, knot = number[(id(net), *goal)], None
            for place in plan.bends(net, goal):
                key = (id(net), place, knot and knot["id"])
                parent = {"parentId": knot["id"]} if knot else {}
                knot = made.setdefault(key, {"id": len(made) + 1, "pos": list(place), "linkIds": [], **parent})
                knot["linkIds"].append(link)
            if knot:
                extensions.append({"id": link, "parentId": knot["id"]})
    return list(made.values()), extensions
