"""State that functions and objects of other nodes keep between calls, found in their source; not part of a setting.

A function keeps state in variables of its closure: it rebinds them (`nonlocal`) or modifies their values. An object keeps state
in attributes that are initialised to a constant and changed by a method.
"""

import ast
import dis
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

CHANGES = {
    "append", "appendleft", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove", "setdefault",
    "update", "zero_", "copy_", "fill_", "add_", "mul_",
}  # fmt: skip
"""Methods that modify their object in place."""


def memory_cells(function: types.FunctionType) -> list[Any]:
    """Cells of a function's closure in which it keeps state."""
    code = function.__code__
    changed = _rebound(code) | variables(code)
    return [cell for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True) if name in changed]


def filled(cells: Any) -> list[Any]:
    """Contents of the cells of a closure that are not empty."""
    contents = []
    for cell in cells or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return contents


def _rebound(code: types.CodeType) -> set[str]:
    """Closure variables that a function, or a function inside it, assigns to."""
    found = {str(one.argval) for one in dis.get_instructions(code) if one.opname == "STORE_DEREF"}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found |= _rebound(const)
    return found


class CallStates:
    """State of functions and objects, separate for each part of a clip that the model is called for in turn.

    Containers that are modified in place stay shared: they may be a record of all calls.

    options   dictionaries that contain functions and objects of other nodes
    """

    def __init__(self, *options: Mapping[str, Any]):
        self._slots = list(_slots(options))
        self._before: dict[Any, list[Any]] = {}
        self._now: dict[Any, list[Any]] = {}
        self.steps = 0

    def step(self) -> None:
        """Begins a sampling step: parts of the previous step get their state back, new parts begin with the initial one."""
        self.steps += 1
        self._before, self._now = self._now, {}

    @contextmanager
    def of(self, part: Any) -> Iterator[None]:
        """Surrounds a call for a part of the clip with that part's state; afterwards the outer state is restored."""
        outside = [read() for read, _ in self._slots]
        for (_, write), value in zip(self._slots, self._before.get(part, outside), strict=True):
            write(value)
        try:
            yield
        finally:
            self._now[part] = [read() for read, _ in self._slots]
            for (_, write), value in zip(self._slots, outside, strict=True):
                write(value)


Slot = tuple[Callable[[], Any], Callable[[Any], None]]


def _slots(found: Any) -> Iterator[Slot]:
    """Getters and setters of the state that functions and objects among the options keep."""
    seen: set[int] = set()
    waiting = list(found)
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, types.MethodType):
            waiting.append(one.__self__)
        elif isinstance(one, functools.partial):
            waiting += [one.func, *one.args, *one.keywords.values()]
        elif isinstance(one, types.FunctionType):
            waiting += [part for part in filled(one.__closure__) if callable(part) and not isinstance(part, type)]
            for cell in memory_cells(one):
                if id(cell) not in seen and filled([cell]):
                    seen.add(id(cell))
                    yield functools.partial(getattr, cell, "cell_contents"), functools.partial(setattr, cell, "cell_contents")
        elif hasattr(one, "__dict__") and callable(one) and not isinstance(one, type):
            for name in attributes(type(one)) & vars(one).keys():
                yield functools.partial(getattr, one, name), functools.partial(setattr, one, name)


@functools.cache
def variables(code: types.CodeType) -> frozenset[str]:
    """Closure variables that a function, or one inside it, rebinds or modifies; none where the source is missing."""
    tree = _parsed(code)
    if tree is None:
        return frozenset()
    bound = {name for node in ast.walk(tree) if isinstance(node, ast.Nonlocal) for name in node.names}
    return frozenset(bound | {name for name in _written(tree) if name in code.co_freevars})


@functools.cache
def attributes(kind: type) -> frozenset[str]:
    """Attributes of a class that are initialised to a constant and changed by a method other than a setter."""
    found: set[str] = set()
    for base in kind.__mro__[:-1]:
        tree = _parsed(base)
        methods = [node for node in getattr(tree and tree.body[0], "body", ()) if isinstance(node, ast.FunctionDef)]
        given: set[str] = set()
        changed: set[str] = set()
        for method in methods:
            if method.name == "__init__":
                given.update(_from_arguments(method))
            elif not method.name.startswith(("__init__", "set")):
                names = _written(method)
                changed |= {name.removeprefix("self.") for name in names if name.startswith("self.")}
        found |= changed - given
    return frozenset(found)


def _parsed(source: types.CodeType | type) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(source)))
    except (OSError, TypeError, SyntaxError, IndentationError):  # no source, a C function, a lambda inside an expression
        return None


def _from_arguments(method: ast.FunctionDef) -> Iterator[str]:
    """Attributes that a method sets from its arguments."""
    arguments = {one.arg for one in (*method.args.args, *method.args.kwonlyargs)} - {"self"}
    for node in ast.walk(method):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            names = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if names & arguments:
                yield from (target.attr for target in targets if isinstance(target, ast.Attribute))


def _written(tree: ast.AST) -> Iterator[str]:
    """Roots (`name` or `self.name`) of expressions that are assigned to, deleted, or modified in place by a method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            yield from _root(node.func.value)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield from _root(node if _is_of_self(node) else node.value)


def _is_of_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _root(node: ast.AST) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript) and not _is_of_self(node):
        node = node.value
    if isinstance(node, ast.Attribute):
        yield f"self.{node.attr}"
    elif isinstance(node, ast.Name):
        yield node.id
