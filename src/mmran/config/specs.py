"""Specifications: what each stage needs to know, as files that change only when it does.

    results/specs/data.json  search.json  protocols/NAME.json  experiments/NAME.json  tables/NAME.json
        figures/NAME.json  stages/NAME.json

They are the inputs of the rules: an edit of the configuration or of a source file becomes an edit of exactly the
specifications it concerns, and so a rerun of exactly what follows from them, even where Snakemake's own records are
lost. A job reads its specification and never the configuration, so that an edit during a run cannot reach it; and
what the workflow needs of the configuration inside a job on another machine, it reads from the copy of that run.
"""

from pathlib import Path
from typing import Any

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.provenance import STAGES, stage_code
from mmran.files import canonical_json, read_json, sha256_file, write_text_if_changed


def texts(config: Config) -> dict[str, str]:
    """Every specification of a configuration: path below `results/specs` -> its text."""
    protocols = {f"protocols/{name}.json": config.protocol(name).to_json() for name in config.protocols}
    experiments = {f"experiments/{name}.json": config.resolve(name).to_json() for name in config.experiments()}
    tables = {f"tables/{name}.json": config.table(name).to_json() for name in config.tables}
    figures = {f"figures/{name}.json": config.figure(name).to_json() for name in config.figures}
    stages = {f"stages/{name}.json": canonical_json(stage_code(name)) for name in STAGES}
    data = {"source": config.values["source"], **config.values["data"]}
    data.pop("patients_per_class", None)  # a matter of the protocols: the store always holds every slice
    if config.source is not None:
        del data["phantom"]
    search = {} if config.search is None else {"search.json": config.search.to_json()}
    return {"data.json": canonical_json(data), **search, **protocols, **experiments, **tables, **figures, **stages}


def write_specs(config: Config) -> list[Path]:
    """Write the specifications whose text is new, remove those of experiments that are gone.

    Returns:
        The files that were written.
    """
    folder = config.results / "specs"
    wanted = texts(config)
    written = [folder / name for name, text in wanted.items() if write_text_if_changed(folder / name, text)]
    for path in folder.glob("*/*.json"):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    return written


def why(config: Config, name: str) -> list[str]:
    """What of an experiment would run again, and because of which difference; one line each.

    Compares the configuration and the source as they are now with what each result records.

    Raises:
        UserError: there is no such experiment.
    """
    experiment = config.resolve(name)
    lines = []
    for protocol in config.protocols:
        folder = config.results / "experiments" / experiment.name / protocol
        summary, spec = folder / "summary.json", folder / "spec.json"
        if not spec.is_file():
            lines.append(f"{protocol}: train, predict, evaluate: never trained")
            continue
        changes = _differences(read_json(spec), experiment)
        if changes:
            lines += [f"{protocol}: train, predict, evaluate: {change}" for change in changes]
        elif not summary.is_file():
            lines.append(f"{protocol}: predict, evaluate: trained, never evaluated")
        else:
            lines += _why_evaluate(config, protocol, read_json(summary)["digests"])
    return lines


def _why_evaluate(config: Config, protocol: str, recorded: dict[str, str]) -> list[str]:
    split = config.results / "splits" / f"{protocol}.csv"
    if split.is_file() and sha256_file(split) != recorded["split"]:
        return [f"{protocol}: train, predict, evaluate: {split} is another split than the one it was trained on"]
    return []


def _differences(recorded: dict[str, Any], experiment: Experiment) -> list[str]:
    """Lines such as `training.epochs: 240 -> 120`, values flattened."""
    import json

    before, now = _flat(recorded), _flat(json.loads(experiment.to_json()))
    lines = []
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) == now.get(key):
            continue
        if key.startswith("code."):
            lines.append(f"the source of {key.removeprefix('code.')} is not what it was")
        else:
            lines.append(f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}")
    return lines


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and prefix != "code.":
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
