"""Files -> a checked configuration -> specifications; which code decides which result; what would rerun."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`from mmran.config import Config`, loaded on first use: a training reads no configuration."""
    if name == "Config":
        from mmran.config.configuration import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
