"""Names that a package offers without importing the modules that hold them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the `__getattr__`, `__dir__`, and `__all__` of a package that imports its modules on first use.

    Args:
        package: its `__name__`.
        names: module below the package -> names in it that the package offers; the module itself if there are none.

    Returns:
        The three, in this order.
    """
    places = {name: (module, name) for module, offered in names.items() for name in offered}
    places |= {module.rpartition(".")[2]: (module, "") for module, offered in names.items() if not offered}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, member = places[name]
        found = importlib.import_module(f"{package}.{module}")
        return getattr(found, member) if member else found

    return get, lambda: sorted({*vars(importlib.import_module(package)), *places}), sorted(places)
