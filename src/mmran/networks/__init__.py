"""The registry of networks.

A network has the attributes of `mmran.networks.output.Network`, takes images (B, C, H, W) and returns a
`NetworkOutput`. Its constructor takes keyword options only, `width` among them and, where C can be other than one,
`channels`; it raises UserError for values they cannot have. Importing this package imports no network and no torch.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmran.errors import UserError, known_names

if TYPE_CHECKING:
    from mmran.networks.mram import MRAM as MRAM
    from mmran.networks.output import Network

NETWORKS: dict[str, str] = {
    "mmran": "mmran.networks.mmran:MMRAN",
    "res-unet": "mmran.networks.res_unet:ResUNet",
    "rv-gan": "mmran.networks.rv_gan:RVGAN",
    "resnet-50": "mmran.networks.resnet:ResNet50",
    "datta": "mmran.networks.datta:SoftAttentionResNet50",
    "y-net": "mmran.networks.y_net:YNet",
    "chen": "mmran.networks.chen:Chen",
    "he": "mmran.networks.he:DenseNetMultitask",
    "mb-dcnn": "mmran.networks.mb_dcnn:MBDCNN",
}
"""Name -> "module:Class", imported on first use."""


def __getattr__(name: str) -> Any:
    """MRAM, imported on first use because it needs torch."""
    if name == "MRAM":
        return importlib.import_module(f"{__name__}.mram").MRAM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def network_class(name: str) -> "type[Network]":
    """The class of a network.

    Args:
        name: a key of `NETWORKS`, or "package.module:Class" for your own network.

    Raises:
        UserError: no such name, module or class, or it is not a network.
    """
    module_name, class_name = _place(name)
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UserError(f"network {name}: cannot import {module_name!r} ({error}); is it on PYTHONPATH?") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise UserError(f"network {name}: {module_name} has no class {class_name!r}")
    missing = [attribute for attribute in ("stride", "tasks", "recipe") if not hasattr(found, attribute)]
    if missing:
        raise UserError(f"network {name}: its class lacks {', '.join(missing)}; see mmran.networks.output.Network")
    return found


def build(
    name: str, *, mask_prior: float | None = None, tasks: Sequence[str] | None = None, **options: Any
) -> "Network":
    """A network with random weights, on the current default device.

    Args:
        name: as for `network_class`.
        mask_prior: probability of a tumor that the masks start near, or None for torch's own start, which is near
            one half. A network that only classifies has no use for it.
        tasks: the ones that the data can teach it, if not all of its own; its `tasks` and its output have no others.
        **options: of the network's constructor.

    Raises:
        UserError: unknown name or option, or an invalid value of an option.
    """
    complete_options(name, options)
    network = network_class(name)(**options)
    if tasks is not None:
        kept = tuple(tasks)
        network.tasks = kept  # type: ignore[misc]  # of this network alone
        network.register_forward_hook(lambda _module, _images, output: output.only(kept))
    if mask_prior is not None and "segmentation" in network.tasks:
        start_masks = getattr(network, "start_masks", None)
        if start_masks is None:
            raise UserError(
                f"network.mask_prior: {mask_prior}: network {name} has no method start_masks; "
                "add one, or set network.mask_prior: null"
            )
        start_masks(_log_odds(mask_prior))
    return network


def starts_masks(name: str) -> bool:
    """Whether a network's masks can start at a prior.

    Raises:
        UserError: as `network_class`.
    """
    found = network_class(name)
    return "segmentation" in found.tasks and hasattr(found, "start_masks")


def _log_odds(probability: float) -> float:
    if not isinstance(probability, float) or not 0 < probability < 1:
        raise UserError(
            f"network.mask_prior: {probability!r} is not a number between 0 and 1, such as 0.02; "
            "data computes it from the training slices, null keeps torch's own start"
        )
    return math.log(probability / (1 - probability))


def complete_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the constructor's defaults filled in.

    Raises:
        UserError: unknown name or option.
    """
    parameters = inspect.signature(network_class(name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(options)
    for key in options:
        if key not in parameters:
            raise UserError(f"network {name} has no option {key!r}; {known_names(key, parameters)}")
    return {key: parameter.default for key, parameter in parameters.items()} | options


def option_names(name: str) -> tuple[str, ...] | None:
    """Names of a network's options, or None if only importing it would tell.

    Read from the source text: checking a configuration takes milliseconds, importing torch seconds.

    Raises:
        UserError: unknown name.
    """
    definition = _definition(name)
    for method in definition.body if definition else ():
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return None if method.args.kwarg else tuple(arg.arg for arg in method.args.kwonlyargs)
    return None


def stride_of(name: str) -> int | None:
    """What height and width of a network's images must be divisible by, or None where the source does not say.

    Raises:
        UserError: unknown name.
    """
    stride = _literal(name, "stride")
    return stride if isinstance(stride, int) else None


def tasks_of(name: str) -> tuple[str, ...]:
    """The tasks of a network, as its source says; both where the source does not say.

    Raises:
        UserError: unknown name.
    """
    return tuple(_literal(name, "tasks") or ("segmentation", "classification"))


def classifies(name: str) -> bool:
    """Whether a network predicts classes, as its source says; True where the source does not say.

    Raises:
        UserError: unknown name.
    """
    return "classification" in tasks_of(name)


def needs_both_tasks(name: str) -> bool:
    """Whether a network cannot train one of its tasks alone, as its source says.

    Raises:
        UserError: unknown name.
    """
    return bool(_literal(name, "inseparable"))


def _literal(name: str, attribute: str) -> Any:
    """The value of a class attribute that the source spells out, else None."""
    definition = _definition(name)
    for node in definition.body if definition else ():
        names = [target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)]
        if isinstance(node, ast.Assign) and names == [attribute]:
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                return None
    return None


def _definition(name: str) -> ast.ClassDef | None:
    """Find the class in its source without importing it."""
    module_name, class_name = _place(name)
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    return _parsed_classes(path, path.stat().st_mtime_ns).get(class_name)


@functools.cache
def _parsed_classes(path: Path, _mtime_ns: int) -> dict[str, ast.ClassDef]:
    """Name -> class of a source file, parsed again when its modification time changes."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def _place(name: str) -> tuple[str, str]:
    if ":" not in name and name not in NETWORKS:
        raise UserError(
            f"network {name!r} is unknown; {known_names(name, NETWORKS)}; or name your own, package.module:Class"
        )
    module_name, _, class_name = NETWORKS.get(name, name).partition(":")
    return module_name, class_name
