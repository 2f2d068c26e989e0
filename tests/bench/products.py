"""How much of a forward pass is spent inside BLAS: its matrix and dot products, each timed where it stands."""

from __future__ import annotations

import ast
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, ModuleType
from typing import Any

from txexplain.engine import model, ops

SPENT = [0.0]  # seconds inside products


def product(function: Callable[..., Any], *given: Any, **options: Any) -> Any:
    start = time.perf_counter()
    result = function(*given, **options)
    SPENT[0] += time.perf_counter() - start
    return result


class Timed(ast.NodeTransformer):
    """a @ b becomes product(np.matmul, a, b), and so do np.matmul(a, b), np.vdot(a, b) and np.vecdot(a, b)."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        matmul = ast.parse("np.matmul", mode="eval").body
        timed = ast.Call(ast.Name("product", ast.Load()), [matmul, node.left, node.right], [])
        return timed if isinstance(node.op, ast.MatMult) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) in ("np.matmul", "np.vdot", "np.vecdot"):
            return ast.Call(ast.Name("product", ast.Load()), [node.func, *node.args], node.keywords)
        return node


def functions(module: ModuleType) -> dict[str, Any]:
    """A module's own functions and methods, by name."""
    own = [x for x in vars(module).values() if getattr(x, "__module__", "") == module.__name__]
    methods = [f for x in own if inspect.isclass(x) for f in vars(x).values()]
    return {f.__qualname__: f for f in (*own, *methods) if inspect.isfunction(f)}


def timed_code(module: ModuleType) -> dict[str, CodeType]:
    """What a module's functions become when their products are timed, by name."""
    tree = ast.fix_missing_locations(Timed().visit(ast.parse(inspect.getsource(module))))
    codes, found = [compile(tree, str(module.__file__), "exec")], {}
    for code in codes:
        inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        found |= {code.co_qualname: code}
        codes += inner
    return found


@contextmanager
def counting() -> Iterator[list[float]]:
    """Within, every forward pass adds the seconds that its products take to what is given."""
    changed = []
    SPENT[0] = 0.0
    for module in (ops, model):
        vars(module)["product"] = product
        codes = timed_code(module)
        for name, function in functions(module).items():
            changed.append((function, function.__code__))
            function.__code__ = codes[name]
    try:
        yield SPENT
    finally:
        for function, code in changed:
            function.__code__ = code
