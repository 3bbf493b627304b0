"""Whether an experiment can be trained at all, found without data: its network is built on the meta device.

`python -m mmran.training.feasible` reads a JSON list of specifications from stdin and prints a JSON object, name -> the
obstacle. A separate process, because Snakemake's would keep torch in memory for the whole run.
"""

import contextlib
import importlib
import json
import sys
from typing import Any

import torch

from mmran.config.experiment import Experiment
from mmran.errors import UserError, known_names, reason
from mmran.networks import build, starts_masks
from mmran.networks.encoder_weights import load_encoder
from mmran.training.preflight import check_options, check_single_slices
from mmran.training.recipe import Recipe

_ANY_PRIOR = 0.5  # of `mask_prior: data`, which depends on the slices; any number shows whether the network accepts one


def refuse_impossible(experiment: Experiment) -> None:
    """Refuse an experiment whose training would end before or in its first epoch, whatever the slices.

    Raises:
        UserError: its network or recipe cannot be imported or built, or its numbers do not fit them.
    """
    where = f"config: experiments.{experiment.name}"
    spec = experiment.network
    try:
        check_options(experiment)
        prior = spec.mask_prior if starts_masks(spec.name) else None
        prior = _ANY_PRIOR if isinstance(prior, str) else prior
        with torch.device("meta"):
            network = build(spec.name, mask_prior=prior, tasks=spec.tasks, **spec.arguments)
        if spec.encoder_weights:
            load_encoder(network, spec.encoder_weights.verified())
        size = experiment.input.size
        if size % network.stride:
            raise UserError(f"input.size {size} is not divisible by {network.stride}, the stride of {spec.name}")
        _recipe_class(network.recipe)(network, experiment, contextlib.nullcontext).stages()
        check_single_slices(experiment)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except Exception as error:
        # The code of an external network may fail in any way.
        raise UserError(f"{where}: network {spec.name} cannot be built ({reason(error)})") from error


def _recipe_class(place: str) -> type[Recipe]:
    module_name, _, name = place.partition(":")
    found = getattr(importlib.import_module(module_name), name, None)
    if not isinstance(found, type):
        classes = [key for key, value in vars(sys.modules[module_name]).items() if isinstance(value, type)]
        raise UserError(f"recipe {place!r}: {module_name} has no class {name!r}; {known_names(name, classes)}")
    return found


def obstacles(specifications: list[dict[str, Any]]) -> dict[str, str]:
    """Name of an experiment -> what prevents its training; empty where all can be trained."""
    found = {}
    for values in specifications:
        experiment = Experiment.from_values(values)
        try:
            refuse_impossible(experiment)
        except UserError as error:
            found[experiment.name] = str(error)
    return found


if __name__ == "__main__":
    print(json.dumps(obstacles(json.load(sys.stdin))))
