"""`training.compile`: the modules of a recipe, compiled for batches of one size."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mmran.training.recipe import Recipe

_OPTIONS: Mapping[str, Any] = MappingProxyType({"emulate_precision_casts": True})
"""Round to half precision where uncompiled code does.

Otherwise a compiled backward pass computes a map again in float32, and looks in it for the maximum that the forward
pass stored in bfloat16. No pixel equals it, and the gradient is 0 / 0.
"""


def compile_modules(recipe: Recipe) -> None:
    """Compile the modules that the steps call."""
    for module in recipe.compiled():
        module.compile(dynamic=False, options=dict(_OPTIONS))
