"""Values of the configuration that name a function: one of mmran's, or an external "package.module:function"."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from mmran.errors import UserError, known_names


def named(key: str, name: str, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function that a value names.

    Args:
        key: of the configuration, for messages.
        name: a name among the known ones, or "package.module:function".
        known: mmran's own functions.

    Raises:
        UserError: no such name, module, or function.
    """
    if name in known:
        return known[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise UserError(f"{key}: {name!r} is unknown; {known_names(name, known)}; or name your own, module:function")
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except (ImportError, ValueError) as error:
        raise UserError(f"{key}: cannot import {module_name!r} ({error}); is it on PYTHONPATH?") from error
    if not callable(found):
        raise UserError(f"{key}: {module_name} has no function {attribute!r}")
    function: Callable[..., Any] = found
    return function
