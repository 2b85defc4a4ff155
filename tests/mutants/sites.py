"""Where a formula can be wrong: the places of a file at which one small thing may change."""

import ast
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch

SWAPS = {
    # Activations, as functions and as modules.
    **{"relu": "gelu", "gelu": "relu", "silu": "gelu", "elu": "relu", "leaky_relu": "relu"},
    **{"tanh": "sigmoid", "sigmoid": "tanh", "softplus": "relu", "logsigmoid": "tanh"},
    **{"ReLU": "GELU", "GELU": "ReLU", "SiLU": "GELU", "ELU": "ReLU", "LeakyReLU": "ReLU"},
    **{"Tanh": "Sigmoid", "Sigmoid": "Tanh", "Softplus": "ReLU"},
    # Functions with the arguments of another.
    **{"exp": "expm1", "expm1": "exp", "log": "log1p", "log1p": "log", "cos": "sin", "sin": "cos"},
    **{"min": "max", "max": "min", "amin": "amax", "amax": "amin", "sum": "mean", "mean": "sum"},
    **{"minimum": "maximum", "maximum": "minimum", "clamp_min": "clamp_max"},
    **{"square": "abs", "abs": "square", "sqrt": "square", "rsqrt": "sqrt", "tril": "triu"},
    **{"logsumexp": "amax", "log_softmax": "softmax", "cumsum": "cumprod", "prod": "sum"},
    **{"floor": "ceil", "ceil": "floor", "std": "var", "var": "std", "argmax": "argmin"},
}
OF_MATH = {"exp": "expm1", "log": "log1p", "cos": "sin", "sin": "cos", "sqrt": "cbrt"}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMPARISONS = {ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt}
COMPARISONS |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
KINDS = {ast.Add: "sign", ast.Sub: "sign", ast.Mult: "factor", ast.Div: "factor"}

# An axis that is off by one is an error at once: integers that are handed to these stay.
SHAPING = (
    " all amax amin any argmax argmin cat chunk concatenate cumsum cumprod diagonal diff expand "
    "flatten flip gather index_add index_copy index_fill index_select log_softmax logcumsumexp "
    "logsumexp max mean median min moveaxis movedim narrow new_empty new_ones new_zeros norm ones "
    "pad permute prod register_buffer repeat reshape roll scatter scatter_add select size softmax "
    "sort split squeeze stack std sum swapaxes take_along_dim tile topk transpose unbind unflatten "
    "unfold unsqueeze var view zeros "
)
NO_FORMULAS = {"warn", "unknown", "Method", "Recipe", "plan_of", "usual"}
"""Calls for messages, for rows of tables and for settings of runs."""
AXES = {"dim", "axis", "dims", "axes", "start_dim", "end_dim", "stacklevel", "ndmin"}

LONGEST = 120
"""Characters of the text by which a change is known; a longer statement is cut around it."""

IMPORTED = "__import__('torch').nn.functional."

Edit = Callable[[ast.AST], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file.

    Attributes:
        file: below `src/danlu`, such as `losses/likelihoods.py`.
        scope: the class and function in which it lies; empty at the top of the file.
        kind: sign, factor, off by one, constant, function or comparison.
        before: the text that changes.
        after: what it becomes.
        first: line where the statement, or the header of the block, begins.
        last: line where it ends.
        imported: whether it runs when the file is imported, as constants and defaults do.
        node: the place in the walk over the syntax tree; -1 where the text itself is replaced.
        variant: which of the changes of that place.
    """

    file: str
    scope: str
    kind: str
    before: str
    after: str
    first: int
    last: int
    imported: bool
    node: int
    variant: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the change is, whatever the line on which it stands."""
        return self.file, self.scope, self.before, self.after


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its text."""
    tree = ast.parse(source)
    finder = _Finder(file, {id(node): i for i, node in enumerate(ast.walk(tree))})
    finder.visit(tree)
    return finder.found


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """The syntax tree of a file with the one change."""
    if mutant.node < 0:
        return ast.parse(source.replace(mutant.before, mutant.after))
    tree = ast.parse(source)
    place = list(ast.walk(tree))[mutant.node]
    _edits(place)[mutant.variant][1](place)
    return ast.fix_missing_locations(tree)


def replaced(file: str, source: str, old: str, new: str) -> Mutant:
    """A mutant that somebody wrote by hand: one text in the place of another."""
    if source.count(old) != 1:
        raise ValueError(f"{file} has {old!r} {source.count(old)} times, and not once.")
    line = source[: source.index(old)].count("\n") + 1
    return Mutant(file, "", "by hand", old, new, line, line, True, -1, 0)


class _Finder(ast.NodeVisitor):
    """Walks through a file and leaves out what is no formula."""

    def __init__(self, file: str, index: dict[int, int]) -> None:
        self.file, self.index = file, index
        self.found: list[Mutant] = []
        self.scopes: list[str] = []
        self.parents: list[ast.AST] = []
        self.called = False
        """Whether we are inside the body of a function."""

    def visit(self, node: ast.AST) -> None:
        if _no_formula(node):
            return
        if not _shaping(node, self.parents):
            for variant, (kind, edit) in enumerate(_edits(node)):
                self._note(node, variant, kind, edit)
        self.parents.append(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self._enter(node)
        else:
            for child in _children(node):
                self.visit(child)
        self.parents.pop()

    def _enter(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self.scopes.append(node.name)
        outside = self.called
        if isinstance(node, ast.FunctionDef):
            for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                # The sizes of a default network are no formula.
                if node.name != "build" or not isinstance(getattr(default, "value", None), int):
                    self.visit(default)
            self.called = True
        for child in node.body:
            self.visit(child)
        self.called = outside
        self.scopes.pop()

    def _note(self, node: ast.AST, variant: int, kind: str, edit: Edit) -> None:
        chain = [*self.parents, node]
        start = max(i for i, part in enumerate(chain) if isinstance(part, ast.stmt))
        block = isinstance(chain[start], ast.FunctionDef | ast.If | ast.For | ast.While | ast.With)
        phrases = chain[start + block :]
        whole = phrases[0] if hasattr(phrases[0], "lineno") else node
        phrase = next((part for part in phrases if len(_text(part)) <= LONGEST), node)
        changed = deepcopy(phrase)
        # The copy is walked in the same order, so that the place in it is the same.
        place = [id(part) for part in ast.walk(phrase)].index(id(node))
        edit(list(ast.walk(changed))[place])
        self.found.append(
            Mutant(
                file=self.file,
                scope=".".join(self.scopes),
                kind=kind,
                before=_text(phrase),
                after=_text(changed),
                first=whole.lineno,  # pyright: ignore[reportAttributeAccessIssue]
                last=whole.end_lineno,  # pyright: ignore[reportAttributeAccessIssue]
                imported=not self.called,
                node=self.index[id(node)],
                variant=variant,
            )
        )


def _text(node: ast.AST) -> str:
    return ast.unparse(node).replace(IMPORTED, "")


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What of a node is computed: no annotations, no guard of an error message."""
    if isinstance(node, ast.AnnAssign):
        yield from [node.value] if node.value else []
    elif isinstance(node, ast.If) and all(isinstance(part, ast.Raise) for part in node.body):
        yield from node.orelse
    else:
        yield from ast.iter_child_nodes(node)


def _no_formula(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Assign) and _name(node.targets[0]) == "TINY":
        return True  # the instance that stands for the row in the tables
    return isinstance(node, ast.Call) and _name(node.func) in NO_FORMULAS


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _shaping(node: ast.AST, parents: list[ast.AST]) -> bool:
    """Whether a number names an axis, a size or an item instead of entering a formula."""
    constant = node.operand if isinstance(node, ast.UnaryOp) else node
    if not isinstance(constant, ast.Constant) or isinstance(constant.value, float):
        return False
    chain = [*parents, node]
    while isinstance(chain[-1], ast.Constant | ast.UnaryOp | ast.Tuple):
        number = chain.pop()
    outer = chain[-1]
    if isinstance(outer, ast.keyword):
        return outer.arg in AXES
    if isinstance(outer, ast.Subscript):
        return number is outer.slice
    return isinstance(outer, ast.Call) and f" {_name(outer.func)} " in SHAPING


def _edits(node: ast.AST) -> list[tuple[str, Edit]]:
    """The ways in which one node may be wrong, each with what it does to the node in place."""
    return EDITS[type(node)](node) if type(node) in EDITS else []


def _of_operator(node: ast.BinOp) -> list[tuple[str, Edit]]:
    other = OPERATORS.get(type(node.op))
    if other is None or _sequence(node.left) or _sequence(node.right):
        return []
    return [(KINDS[type(node.op)], lambda it: setattr(it, "op", other()))]


def _of_sign(node: ast.UnaryOp) -> list[tuple[str, Edit]]:
    negative = isinstance(node.op, ast.USub)
    return [("sign", lambda it: setattr(it, "op", ast.UAdd()))] if negative else []


def _of_comparison(node: ast.Compare) -> list[tuple[str, Edit]]:
    opposite = COMPARISONS.get(type(node.ops[0])) if len(node.ops) == 1 else None
    if opposite is None:
        return []
    return [("comparison", lambda it: setattr(it, "ops", [opposite()]))]


def _of_constant(node: ast.Constant) -> list[tuple[str, Edit]]:
    value = node.value
    if isinstance(value, float):
        return [("constant", _becomes(value * 1.5 if value else 1.0))]
    if isinstance(value, int) and not isinstance(value, bool):
        return [("off by one", _becomes(value + step)) for step in ((1, -1) if value else (1,))]
    return []


def _of_attribute(node: ast.Attribute) -> list[tuple[str, Edit]]:
    other = (OF_MATH if _name(node.value) == "math" else SWAPS).get(node.attr)
    return [("function", lambda it: setattr(it, "attr", other))] if other else []


def _of_call(node: ast.Call) -> list[tuple[str, Edit]]:
    """Functions without a module before them: activations, and Python's min and max."""
    other = SWAPS.get(_name(node.func)) if isinstance(node.func, ast.Name) else None
    if other in ("min", "max"):
        return [("function", lambda it: setattr(it.func, "id", other))]
    if other is None or not hasattr(torch.nn.functional, other):
        return []
    # The file need not have imported the other one.
    function = ast.parse(IMPORTED + other, mode="eval").body
    return [("function", lambda it: setattr(it, "func", ast.copy_location(function, it)))]


EDITS: dict[type, Callable] = {
    ast.BinOp: _of_operator,
    ast.UnaryOp: _of_sign,
    ast.Compare: _of_comparison,
    ast.Constant: _of_constant,
    ast.Attribute: _of_attribute,
    ast.Call: _of_call,
}


def _becomes(value: float) -> Edit:
    return lambda node: setattr(node, "value", value)


def _sequence(node: ast.AST) -> bool:
    """Whether it is text or a list, which are joined and repeated by the same signs."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp | ast.Set)
