"""Specifications: what each job needs to know, as files.

    results/specs/protocols/NAME.json  experiments/NAME.json  tables/NAME.json  figures/NAME.json
    results/specs/search.json  comparison.json  subgroups.csv  metrics.json
    results/specs/jobs/STAGE/...json

A job reads its specification and never the configuration, so an edit during a run cannot reach it. Only a run that
holds the lock writes them (`mmran.workflow.specs_lock`); a dry run, a report or a list of rules writes nothing.
"""

from mmran.config.configuration import Config
from mmran.files import canonical_json
from mmran.metrics.custom import custom_values


def stage_texts(config: Config) -> dict[str, str]:
    """What the stages read: path below `results/specs` -> text."""
    protocols = {f"protocols/{name}.json": config.protocol(name).to_json() for name in config.protocols}
    # A search is planned along with the tables, whether or not one of them shows its experiment.
    trained = dict.fromkeys([*config.experiments(), *([config.searched] if config.search else [])])
    experiments = {f"experiments/{name}.json": config.resolve(name).to_json() for name in trained}
    tables = {f"tables/{name}.json": config.table(name).to_json() for name in config.tables}
    figures = {f"figures/{name}.json": config.figure(name).to_json() for name in config.figures}
    search = {} if config.search is None else {"search.json": config.search.to_json()}
    comparison = {"comparison.json": config.comparison.to_json()}
    if config.subgroups:
        comparison["subgroups.csv"] = config.subgroups.text
    custom = config.custom_metrics
    metrics = {"metrics.json": canonical_json(custom_values(custom))} if custom else {}
    return {**search, **comparison, **metrics, **protocols, **experiments, **tables, **figures}
