"""The start of a run: configuration -> specifications, and the copy of the configuration that its jobs read."""

import os
from collections.abc import Mapping
from typing import Any

from mmran.config.configuration import Config
from mmran.config.specs import write_specs
from mmran.files import canonical_json, read_json, sha256_text, write_text_if_changed

# Names the copy of the configuration to the jobs of a run.
_RUN_CONFIG = "MMRAN_RUN_CONFIG"


def begin_run(values: Mapping[str, Any]) -> Config:
    """Check a configuration, and write the specifications and the copy that the jobs of this run read.

    Raises:
        UserError: the configuration is wrong.
    """
    config = Config.checked(values)
    write_specs(config)
    text = canonical_json(config.values)
    path = config.results / ".work" / "configs" / f"{sha256_text(text)[:24]}.json"
    write_text_if_changed(path, text)
    os.environ[_RUN_CONFIG] = str(path.resolve())
    return config


def join_run(values: Mapping[str, Any]) -> Config:
    """The configuration with which the run of this job began; `values` where the run's environment is not passed on.

    Raises:
        UserError: the copy is gone.
    """
    path = os.environ.get(_RUN_CONFIG)
    return Config.checked(read_json(path) if path else values)
