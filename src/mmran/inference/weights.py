"""The weights of a package, on the device that predicts."""

from pathlib import Path

import torch

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.files import sha256_file
from mmran.inference.record import Package
from mmran.machine import cpu_has_bfloat16
from mmran.training.device import Compute
from mmran.training.recipe import Recipe, make_recipe


def choose_device(name: str) -> torch.device:
    """The device of a name: auto, cpu or cuda.

    Raises:
        UserError: another name, or no CUDA device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device {name!r} is unknown; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch sees no CUDA device; choose cpu, or check nvidia-smi and torch itself")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def load_recipe(folder: Path, record: Package, i: int, experiment: Experiment, device: torch.device) -> Recipe:
    """Build one network of a package with its weights, in evaluation mode.

    Args:
        folder: the package.
        record: its record.
        i: which of its weights.
        experiment: what was trained.
        device: where it predicts; on a CPU, weights of a GPU predict in float32, and so do all weights without
            bfloat16 instructions.

    Raises:
        UserError: the weights are absent, were changed, or do not fit the network of this mmran.
    """
    from safetensors.torch import load_file

    weights = record.weights[i]
    path = folder / weights.file
    if sha256_file(path) != weights.sha256:
        raise UserError(f"{path}: not the weights that were packaged (their SHA-256 differs); copy the package again")
    # A CPU may emulate the half precision of a GPU, or of another CPU, and is slower than in float32.
    emulated = device.type == "cpu" and (weights.device != "cpu" or not cpu_has_bfloat16())
    dtype = torch.float32 if emulated else getattr(torch, weights.precision)
    recipe = make_recipe(experiment, Compute(device, dtype, torch.get_num_threads()))
    try:
        recipe.network.load_state_dict(load_file(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: does not fit network {experiment.network.name} of this mmran ({reason}); install mmran "
            f"{record.versions.get('packaged_by', '')}"
        ) from error
    recipe.network.eval()
    return recipe
