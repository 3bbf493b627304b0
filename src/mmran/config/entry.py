"""The entry of one experiment, laid over the defaults, and what its network learns from the data set."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmran.config.checks import check_complete, refuse_derived, taught
from mmran.config.experiment import COMMON_TO_NETWORKS
from mmran.config.load import overlay, without_nulls
from mmran.data.published import CLASSES
from mmran.networks import classifies

# `name` decides what the keys beside it mean, so another name keeps only the defaults that all names share.
_CHOOSERS = {"network": COMMON_TO_NETWORKS, "schedule": frozenset[str]()}


def merged_entry(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The defaults of a configuration with one experiment's entry laid over them.

    Args:
        values: the configuration.
        name: an experiment that is no alias.

    Raises:
        UserError: a value is missing.
    """
    defaults, entry = copy.deepcopy(values["defaults"]), values["experiments"][name] or {}
    for key, shared in _CHOOSERS.items():
        default = defaults[key].get("name")
        if (entry.get(key) or {}).get("name", default) != default:
            defaults[key] = {k: v for k, v in defaults[key].items() if k in shared}
    merged = without_nulls(overlay(defaults, entry))
    check_complete(name, merged)
    return merged


def facts_of_data(
    name: str, network: Mapping[str, Any], tasks: Sequence[str], classes: Sequence[str], channels: Sequence[str]
) -> dict[str, Any]:
    """What a network's specification says of the data set; nothing where it is like the paper's.

    The paper's data have both tasks, one channel, and as many classes as networks build by themselves: its
    specifications do not repeat it.

    Raises:
        UserError: the experiment sets one of these values itself.
    """
    refuse_derived(name, network)
    found: dict[str, Any] = {}
    if kept := taught(network["name"], tasks):
        found["tasks"] = list(kept)
    if len(classes) not in (0, len(CLASSES)) and classifies(network["name"]):
        found["n_classes"] = len(classes)
    if len(channels) > 1:
        found["channels"] = len(channels)
    return found
