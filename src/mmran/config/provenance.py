"""Which source decides a result, as digests that ignore comments, docstrings, and layout."""

import ast
import contextlib
import functools
import importlib.util
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

from mmran.errors import UserError
from mmran.files import sha256_file, sha256_text

PACKAGE = "mmran"

# Modules that only pass values along, like all of mmran.config: editing them reruns nothing. The experiment's
# values are in its specification; the registry only names networks, each of which is a root.
PLUMBING = frozenset(
    f"{PACKAGE}{name}"
    for name in (
        *("", ".errors", ".files", ".lazy", ".machine", ".version"),
        *(".config", ".networks", ".metrics", ".statistics"),
        *(".training.history", ".training.checkpoint"),
        *(".training.saver", ".training.progress", ".training.preflight", ".training.record", ".training.scalars"),
        *(".training.outcome", ".training.mlflow_run"),
    )
)

_LATE_IMPORT = re.compile(r"^[A-Za-z_]\w*(\.\w+)+:[A-Za-z_]\w*$|^[A-Za-z_]\w*:[A-Z]\w*$")

_ENDINGS = (".py", *EXTENSION_SUFFIXES)
_LONGEST_NAME = 255
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})

STAGES = {
    "phantom": ("mmran.data.phantom.patients",),
    "convert": ("mmran.data.convert",),
    "verify": ("mmran.data.audit",),
    "split": ("mmran.data.splits", "mmran.data.split_report"),
    "predict": ("mmran.evaluation.predict",),
    "evaluate": ("mmran.evaluation.evaluate",),
    "networks": ("mmran.networks.complexity",),
    "package": ("mmran.inference.package",),
    "search": ("mmran.tune.search", "mmran.tune.runner"),
    "search_report": ("mmran.report.search",),
    "table": ("mmran.report.tables", "mmran.report.sizes", "mmran.report.notes"),
    "nearest_slice": ("mmran.statistics.nearest_slice",),
    "compare": ("mmran.statistics.collection", "mmran.report.evidence"),
    "overview": ("mmran.report.overview_text",),
    "figure": ("mmran.report.figures",),
}


def training_code(network: str, *outside: str) -> dict[str, str]:
    """Digests of the modules that decide an experiment's weights.

    Args:
        network: a name of the registry or "package.module:Class".
        *outside: other values that name code, "package.module:function".

    Returns:
        Module name -> hexadecimal digest: the training loop, the network's own module and all that they import.
    """
    from mmran.networks import NETWORKS

    module = NETWORKS.get(network, network).partition(":")[0]
    return code_digests(("mmran.training.engine", module, *(place.partition(":")[0] for place in outside)))


def stage_code(stage: str, *outside: str) -> dict[str, str]:
    """Digests of the modules that decide what a stage other than training writes.

    Args:
        stage: a key of `STAGES`.
        *outside: values that name code, "package.module:function".
    """
    return code_digests((*STAGES[stage], *(place.partition(":")[0] for place in outside)))


def code_digests(roots: Iterable[str]) -> dict[str, str]:
    """Digests of modules and of everything that they import, directly or indirectly, except installed packages.

    A package among the roots counts wherever it is installed, as does mmran; so do the packages that a module is in. A
    file beside a module from outside mmran counts if the module names it, such as "weights.json".

    Raises:
        UserError: a file is not Python, or cannot be read.
    """
    found: dict[str, str] = {}
    todo, tops = list(roots), {PACKAGE, *(root.partition(".")[0] for root in roots)}
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module in seen or module in PLUMBING or module.startswith(f"{PACKAGE}.config."):
            continue
        seen.add(module)
        path = _source(module)
        if path is None or not (module.partition(".")[0] in tops or _is_own(path)):
            continue
        if path.suffix != ".py":
            found[module] = sha256_file(path)[:16]
            continue
        digest, imports, texts = _read(path, path.stat().st_mtime_ns, module)
        if digest:
            found[module] = digest
        if module.partition(".")[0] != PACKAGE:
            found |= {f"{module}: {name}": sha256_file(path.parent / name)[:16] for name in _files_beside(path, texts)}
        parents = module.split(".")[:-1]
        todo += [".".join(parents[: i + 1]) for i in range(len(parents))]
        todo += [name for name in imports if name not in seen]
    return dict(sorted(found.items()))


def _source(module: str) -> Path | None:
    """The file of a module, or None if the name is something inside a module. Imports nothing."""
    top, *rest = module.split(".")
    if top in sys.stdlib_module_names:
        return None
    origin, folders = _top_level(top)
    if not rest:
        return Path(origin) if origin and origin.endswith(_ENDINGS) else None
    inside = "/".join(rest)
    endings = ("/__init__.py", *_ENDINGS)
    # Thousands of names are looked up per plan, and most name no file: os.path is four times as fast as Path here.
    places = (f"{folder}/{inside}{ending}" for folder in folders for ending in endings)
    return next((Path(place) for place in places if os.path.isfile(place)), None)  # noqa: PTH113


def _top_level(name: str) -> tuple[str | None, tuple[str, ...]]:
    """File and folders of a top-level module; a folder without __init__.py has folders alone."""
    # Jobs run `python -m mmran`, which finds modules in the working directory first; `snakemake` itself does not.
    path = tuple(sys.path) if name == PACKAGE else (str(Path.cwd()), *sys.path)
    return _found(name, path)


@functools.cache
def _found(name: str, path: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    try:
        spec = PathFinder.find_spec(name, list(path)) or importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None, ()
    return (None, ()) if spec is None else (spec.origin, tuple(spec.submodule_search_locations or ()))


def _is_own(path: Path) -> bool:
    """Whether a file is a user's code: part of neither Python nor an installed package."""
    path = path.absolute()
    # Clusters and .pth files put folders of packages on the path that belong to no environment.
    if not _PACKAGE_FOLDERS.isdisjoint(path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Folders of Python itself and of installed packages."""
    places = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(Path(place).absolute() for place in places)


def _files_beside(path: Path, texts: Iterable[str]) -> Iterator[str]:
    """The files in a module's folder, or below it, that its texts name."""
    for text in texts:
        with contextlib.suppress(OSError, ValueError):
            if (path.parent / text).is_file() and not text.endswith(".py"):
                yield text


@functools.cache
def _read(path: Path, _mtime_ns: int, module: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Digest, imported names, and short texts of one file, parsed again when its modification time changes.

    The digest is empty if the file has only a docstring.
    """
    tree = _parsed(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imports: list[str] = []
    texts: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue  # names for the type checker decide no result
        imports += _imported(node, package)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) <= _LONGEST_NAME:
            texts.add(node.value)
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[:] = body[1:] or ([] if node is tree else [ast.Pass()])
        todo += ast.iter_child_nodes(node)
    digest = sha256_text(ast.unparse(tree))[:16] if tree.body else ""
    return digest, tuple(imports), tuple(sorted(texts))


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: not Python ({error.msg})") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as Python ({' '.join(str(error).split())})") from error


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Names that one statement may import; a registry imports a text "package.module:Name" later."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")
        base = parents[: len(parents) + 1 - node.level] if node.level else []
        place = ".".join([*base, *([node.module] if node.module else [])])
        # `from package import module` and `from module import name` look alike: try both.
        yield from (place, *(f"{place}.{name.name}" for name in node.names))
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            name = first.value.lstrip(".")
            parents = package.split(".")
            level = len(first.value) - len(name)
            yield ".".join([*parents[: len(parents) + 1 - level], name]) if level else name
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _LATE_IMPORT.match(node.value):
        yield node.value.partition(":")[0]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
