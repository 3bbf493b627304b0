"""Results that no stage made: files and records as a whole run leaves them, in milliseconds."""

from pathlib import Path
from typing import Any

from mmran.config.configuration import Config
from mmran.config.job import Job
from mmran.config.jobs import plan_jobs, plan_search
from mmran.config.load import load, overlay
from mmran.config.made import Made

ROOT = Path(__file__).resolve().parents[3]

SMALL: dict[str, Any] = {
    "results": "results",
    "source": "phantom",
    "evaluate_under": ["paper"],
    "experiments": {
        "dynamic": {},
        "baseline": "dynamic",
        "se": {"network": {"attention": "se"}},
        "plain": {"network": {"name": "resnet-50"}},
    },
    "tables": {
        "table1": {
            "title": "Training",
            "kind": "metrics",
            "metrics": ["dice", "acc"],
            "rows": [{"label": "Dynamic", "experiment": "dynamic"}],
        },
        "table2": {
            "title": "Ablation",
            "kind": "metrics",
            "metrics": ["dice", "acc"],
            "rows": [{"label": "Baseline", "experiment": "baseline"}, {"label": "SE", "experiment": "se"}],
        },
        "table3": {"title": "Parameters", "kind": "parameters", "rows": [{"label": "SE", "experiment": "se"}]},
    },
    "figures": {
        "figure8": {"title": "ROC", "kind": "roc", "rows": [{"label": "ResNet-50", "experiment": "plain"}]},
    },
}


def small(**changes: Any) -> Config:
    """A configuration of three experiments, three tables and a figure."""
    values = load([ROOT / "config.yaml"]) | SMALL
    values.pop("claims", None)  # of experiments that are not among these
    for key in ("experiments", "tables", "figures"):
        values[key] = dict(SMALL[key])
    return Config.checked(overlay(values, changes))


def finish(config: Config, **but: Job) -> None:
    """Write files and records of every job of a configuration."""
    jobs = plan_jobs(config)
    if config.search:
        jobs |= plan_search(config)
    for job in (jobs | but).values():
        for path in job.outputs:
            file = config.results / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith("/trials"):
                file.mkdir(exist_ok=True)
                file /= "weights.safetensors"
            file.write_text(f"{path} of {job.digest}")
        Made.of(config.results, job).write(config.results)
