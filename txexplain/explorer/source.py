"""Which line of the engine makes a tensor: found in the source itself, so that what is shown is what runs."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import txexplain

PACKAGE = Path(txexplain.__file__).parent
Statement = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr | ast.Return
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return)


@dataclass(frozen=True)
class Source:
    """A function of the engine without its docstring, each line with its number in the file; `marked` is the line that counts.

    A statement of several lines has all of them in `marked`; a function shown as a whole has none.
    """

    file: str
    function: str
    lines: tuple[tuple[int, str], ...]
    marked: range


@lru_cache(maxsize=128)
def source_of(function: Callable[..., Any], target: str = "") -> Source:
    """A function's source with the statement marked that makes `target`.

    target: a variable or a key, "+x" where x is changed in place, "f()" the statement that calls f, "return"; "" marks nothing.
    Raises OSError where the source isn't there, LookupError where nothing in it makes the target.
    """
    lines, first = inspect.getsourcelines(function)
    text = textwrap.dedent("".join(lines))
    definition = ast.parse(text).body[0]
    assert isinstance(definition, ast.FunctionDef)
    hidden: range = range(0)
    head = definition.body[0]
    if isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant):
        hidden = range(head.lineno, (head.end_lineno or head.lineno) + 1)
    marked = statement_of(definition, target) if target else range(0)
    numbered = tuple((first + i, line) for i, line in enumerate(text.rstrip().split("\n")) if i + 1 not in hidden)
    file = Path(inspect.getsourcefile(function) or "").resolve().relative_to(PACKAGE.resolve()).as_posix()
    return Source(file, function.__qualname__, numbered, range(marked.start + first - 1, marked.stop + first - 1) if target else marked)


def statement_of(definition: ast.FunctionDef, target: str) -> range:
    """The lines of the first statement that makes a target, counted from 1 in the function. Raises LookupError."""
    found = [
        (node.lineno, node.end_lineno or node.lineno) for node in ast.walk(definition) if isinstance(node, SIMPLE) and makes(node, target)
    ]
    for node in ast.walk(definition):
        if isinstance(node, ast.Dict):  # of a dictionary, the entry alone
            entries = zip(node.keys, node.values, strict=True)
            found += [(key.lineno, value.end_lineno or value.lineno) for key, value in entries if constant(key, target)]
    if not found:
        raise LookupError(f"nothing in {definition.name} makes {target!r}")
    first, last = min(found)
    return range(first, last + 1)


def makes(node: Statement, target: str) -> bool:
    """Whether a statement makes a target."""
    if target == "return":
        return isinstance(node, ast.Return)
    if target.endswith("()"):
        calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
        return any(isinstance(call, ast.Name) and call.id == target[:-2] for call in calls)
    if target.startswith("+"):
        return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == target[1:]
    if isinstance(node, ast.Assign):
        return any(names(each, target) for whole in node.targets for each in ast.walk(whole))
    return isinstance(node, ast.AnnAssign) and names(node.target, target)


def names(node: ast.AST, target: str) -> bool:
    """Whether a piece of an assignment's left side is this variable, or this key of a dictionary."""
    if isinstance(node, ast.Subscript):
        return constant(node.slice, target)
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == target


def constant(node: ast.AST | None, value: str) -> TypeGuard[ast.Constant]:
    """Whether a piece of source is this very string."""
    return isinstance(node, ast.Constant) and node.value == value
