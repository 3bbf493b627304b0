"""Which source decides a result, as digests that comments, docstrings and layout do not change."""

import ast
import functools
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from mmran.files import sha256_text

PACKAGE = "mmran"

# Modules that carry values but compute none, as all of mmran.config does: editing them reruns nothing. The
# experiment's values are in its specification; the registry only names networks, each of which is a root.
PLUMBING = frozenset(
    f"{PACKAGE}{name}"
    for name in (
        *("", ".errors", ".files", ".config"),
        *(".networks", ".data", ".metrics", ".evaluation", ".training", ".training.history", ".training.checkpoint"),
        *(".training.saver", ".training.progress", ".training.preflight", ".training.record"),
    )
)

_LATE_IMPORT = re.compile(r"^[A-Za-z_]\w*(\.\w+)+:[A-Za-z_]\w*$")

STAGES = {
    "phantom": ("mmran.data.phantom.patients",),
    "convert": ("mmran.data.convert",),
    "verify": ("mmran.data.audit",),
    "split": ("mmran.data.splits", "mmran.data.split_report"),
    "predict": ("mmran.evaluation.predict",),
    "evaluate": ("mmran.evaluation.evaluate",),
    "networks": ("mmran.networks.complexity",),
    "search": ("mmran.tune.search", "mmran.tune.runner"),
    "search_report": ("mmran.report.search",),
    "table": ("mmran.report.tables",),
    "figure": ("mmran.report.figures",),
}


def training_code(network: str) -> dict[str, str]:
    """Digests of the modules that decide an experiment's weights.

    Args:
        network: a name of the registry or "package.module:Class".

    Returns:
        Module name -> hexadecimal digest: the training loop, the network's own module and all that they import.
    """
    from mmran.networks import NETWORKS

    module = NETWORKS.get(network, network).partition(":")[0]
    return code_digests(("mmran.training.engine", module))


def stage_code(stage: str) -> dict[str, str]:
    """Digests of the modules that decide what a stage other than training writes."""
    return code_digests(STAGES[stage])


def code_digests(roots: Iterable[str]) -> dict[str, str]:
    """Digests of modules and of everything that they import from their own package, directly or not."""
    found: dict[str, str] = {}
    todo = list(roots)
    while todo:
        module = todo.pop()
        if module in found or module in PLUMBING or module.startswith(f"{PACKAGE}.config."):
            continue
        path = _source(module)
        if path is None or path.stat().st_size == 0:
            continue
        digest, imports = _read(path, path.stat().st_mtime_ns)
        found[module] = digest
        todo += [name for name in imports if name.partition(".")[0] == module.partition(".")[0]]
    return dict(sorted(found.items()))


def _source(module: str) -> Path | None:
    """The file of a module, or None where the name is something inside a module. Imports nothing."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    # A folder without __init__.py is a package too, and has places but no origin.
    folders = map(Path, spec.submodule_search_locations or ())
    bases = [folder.joinpath(*rest) for folder in folders] if rest else [Path(spec.origin or "")]
    candidates = (path for base in bases for path in (base, base.with_suffix(".py"), base / "__init__.py") if base.name)
    return next((path for path in candidates if path.suffix == ".py" and path.is_file()), None)


@functools.cache
def _read(path: Path, _mtime_ns: int) -> tuple[str, tuple[str, ...]]:
    """Digest and imported names of one file; the cache is asked anew when the file's time moves."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imports: list[str] = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue  # names for the type checker decide no result
        imports += _imported(node)
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[:] = body[1:] or [ast.Pass()]
        todo += ast.iter_child_nodes(node)
    return sha256_text(ast.unparse(tree))[:16], tuple(imports)


def _imported(node: ast.AST) -> list[str]:
    """Names that one statement may import; a text "package.module:Name" is what a registry imports later."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        # `from package import module` and `from module import name` look alike: try both.
        return [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _LATE_IMPORT.match(node.value):
        return [node.value.partition(":")[0]]
    return []


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
