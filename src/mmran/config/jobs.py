"""Every job of a configuration, with everything that decides what it writes."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mmran.config.configuration import Config
from mmran.config.fingerprints import Fingerprint
from mmran.config.job import Job
from mmran.config.source_files import Contents, Files, list_source
from mmran.config.specs import stage_texts
from mmran.config.tables import EVIDENCE, NEAREST
from mmran.errors import UserError
from mmran.files import read_json, sha256_file, sha256_text
from mmran.metrics.custom import custom_values

PHANTOM, CONVERT, VERIFY = "phantom", "convert", "verify"
COMPARED = ("intervals", "comparisons", "perclass", "strata", "worst", "calibration", "reliability", "claims")
"""What `mmran compare` writes, each as csv."""

_CONVERTED = ("field_of_view_mm", "keep_going", "classes", "channels", "tasks", "tumor_values")
"""Values of `data` that decide what `convert` writes."""

TABLE_FILES = ("csv", "md", "tex", "html")
FIGURE_FILES = ("svg", "png", "pdf", "txt")


def plan_jobs(config: Config, digest_of: Callable[[Job], str] = lambda job: job.digest) -> dict[str, Job]:
    """Every job that the configuration asks for, each after those whose results it reads.

    Args:
        config: the configuration.
        digest_of: the digest under which dependent jobs record a job; not its own if its results were accepted
            (`mmran.config.accepted`).

    Raises:
        UserError: the source, or a csv of a protocol, cannot be read.
    """
    planner = _Planner(config, digest_of)
    planner.add_data()
    for protocol in config.protocols:
        for experiment in config.experiments():
            planner.add_experiment(experiment, protocol)
    planner.add_networks()
    for protocol in config.protocols:
        planner.add_nearest(protocol)
        planner.add_tables(protocol)
        planner.add_figures(protocol)
        planner.add_comparison(protocol)
    planner.add_overview()
    return planner.jobs


def plan_search(config: Config, digest_of: Callable[[Job], str] = lambda job: job.digest) -> dict[str, Job]:
    """The jobs of the search, which no table needs, and every job whose results they read."""
    planner = _Planner(config, digest_of)
    planner.add_data()
    planner.add_experiment(config.searched, config.protocols[0])
    planner.add_search()
    return planner.jobs


def plan_models(config: Config, digest_of: Callable[[Job], str] = lambda job: job.digest) -> dict[str, Job]:
    """The jobs of `snakemake models`, which no table needs, and every job whose results they read."""
    planner = _Planner(config, digest_of)
    planner.add_data()
    for protocol in config.protocols:
        for experiment in config.experiments():
            planner.add_experiment(experiment, protocol)
            planner.add_package(experiment, protocol)
    return planner.jobs


class _Planner:
    """Collects jobs, each after those whose results it reads."""

    def __init__(self, config: Config, digest_of: Callable[[Job], str]) -> None:
        self.config = config
        self.digest_of = digest_of
        self.texts = stage_texts(config)
        self.jobs: dict[str, Job] = {}
        self.digests: dict[str, str] = {}
        # Job -> accepted jobs that it depends on -> the digest that they would have now.
        self.accepted: dict[str, dict[str, str]] = {}

    def add(
        self,
        name: str,
        values: Mapping[str, Any],
        code: Mapping[str, str],
        inputs: Iterable[str] = (),
        outputs: Iterable[str] = (),
    ) -> None:
        """Add one job; the jobs that it reads were added before."""
        read = sorted(set(inputs))
        job = Job(name, values, code, {other: self.digests[other] for other in read}, tuple(outputs))
        self.jobs[name] = job
        self.digests[name] = self.digest_of(job)
        self.accepted[name] = {key: digest for other in read for key, digest in self.accepted[other].items()}
        if self.digests[name] != job.digest:
            self.accepted[name][name] = job.digest

    def add_data(self) -> None:
        """Conversion, audit, and splits, and the phantom if it is the source."""
        data, inputs = self.config.values["data"], []
        values = {key: data[key] for key in _CONVERTED if key in data}
        if self.config.source is None:
            self.add(PHANTOM, data["phantom"], self.config.stage_code("phantom"), outputs=["phantom"])
            inputs = [PHANTOM]
        else:
            values["files"] = list_source(self.config.source, *_recorded_source(self.config))
        self.add(CONVERT, values, self.config.stage_code("convert"), inputs, ["data/slices.h5", "data/index.csv"])
        self.add(VERIFY, {}, self.config.stage_code("verify"), [CONVERT], ["data/audit.json"])
        for protocol in self.config.protocols:
            self.add(
                f"split/{protocol}",
                _with_csv(json.loads(self.texts[f"protocols/{protocol}.json"]), protocol),
                self.config.stage_code("split"),
                [CONVERT],
                [f"splits/{protocol}.csv", f"splits/{protocol}.json"],
            )

    def add_experiment(self, name: str, protocol: str) -> None:
        """Training, prediction, and evaluation of one experiment."""
        values = json.loads(self.texts[f"experiments/{name}.json"])
        code = values.pop("code")
        values["network"].get("encoder_weights", {}).pop("path", None)  # its content counts, not its place
        folder = f"experiments/{name}/{protocol}"
        train, predict = f"train/{name}/{protocol}", f"predict/{name}/{protocol}"
        trained = [f"{folder}/{file}" for file in ("runs.json", "history.csv", "spec.json", "trials")]
        self.add(train, values, code, [CONVERT, f"split/{protocol}"], trained)
        predicted = [f"{folder}/predictions.h5", f"{folder}/inference.json"]
        self.add(predict, {}, self.config.stage_code("predict"), [CONVERT, f"split/{protocol}", train], predicted)
        measured = [f"{folder}/cases.csv", f"{folder}/summary.json"]
        inputs = [CONVERT, f"split/{protocol}", predict]
        code = self.config.measuring_code("evaluate")
        self.add(f"evaluate/{name}/{protocol}", self._custom_metrics(), code, inputs, measured)

    def add_networks(self) -> None:
        """Parameter counts for the tables that show them."""
        for name in self._tables("parameters"):
            experiments = {one: self._experiment(one) for one in self.config.trained_for(name)}
            self.add(f"networks/{name}", experiments, self.config.stage_code("networks"), (), [f"networks/{name}.json"])

    def add_tables(self, protocol: str) -> None:
        """Every table of the configuration."""
        for name in self.config.tables:
            inputs = self._measured(name, protocol, "evaluate")
            if name in self._tables("parameters"):
                inputs = [*self._measured(name, protocol, "train", "predict"), f"networks/{name}"]
            elif self.config.shows_nearest(name):
                inputs.append(f"nearest_slice/{protocol}")
            self._add_shown("table", name, protocol, inputs, TABLE_FILES)

    def add_figures(self, protocol: str) -> None:
        """Every figure of the configuration."""
        for name in self.config.figures:
            inputs = [CONVERT, *self._measured(name, protocol, "train", "predict", "evaluate")]
            self._add_shown("figure", name, protocol, inputs, FIGURE_FILES)

    def add_nearest(self, protocol: str) -> None:
        """The baseline that copies the nearest training slice."""
        if not self.config.comparison.rows:
            return
        folder = f"experiments/{NEAREST}/{protocol}"
        files = [f"{folder}/{name}" for name in ("spec.json", "predictions.h5", "cases.csv", "summary.json")]
        inputs = [CONVERT, f"split/{protocol}"]
        code = self.config.measuring_code("nearest_slice")
        self.add(f"nearest_slice/{protocol}", self._custom_metrics(), code, inputs, files)

    def add_comparison(self, protocol: str) -> None:
        """Intervals, tests, and claims."""
        if not self.config.comparison.rows:
            return
        values = json.loads(self.texts["comparison.json"]) | {"protocol": protocol}
        if "subgroups.csv" in self.texts:
            values["subgroups"] = sha256_text(self.texts["subgroups.csv"])
        inputs = [f"nearest_slice/{protocol}", *(f"evaluate/{one}/{protocol}" for one in self.config.compared)]
        written = [f"statistics/{protocol}/{name}.csv" for name in COMPARED]
        written += [f"tables/{protocol}/{name}.{suffix}" for name in EVIDENCE for suffix in TABLE_FILES]
        self.add(f"compare/{protocol}", values, self.config.stage_code("compare"), inputs, written)

    def add_overview(self) -> None:
        """The start page, which reads everything that is shown."""
        shown = [name for name, job in self.jobs.items() if job.stage in (VERIFY, "table", "figure", "compare")]
        written = [f"overview.{suffix}" for suffix in ("html", "md", "rst")]
        self.add("overview", {}, self.config.stage_code("overview"), shown, written)

    def add_package(self, name: str, protocol: str) -> None:
        """The model package of one experiment."""
        values = {"license": self.config.values["data"].get("license")}
        inputs = [CONVERT, f"split/{protocol}", f"train/{name}/{protocol}", f"evaluate/{name}/{protocol}"]
        folder = f"models/{protocol}/{name}"
        written = [f"{folder}/{file}" for file in ("package.json", "spec.json", "results.csv", "README.md", "weights")]
        self.add(f"package/{name}/{protocol}", values, self.config.stage_code("package"), inputs, written)

    def add_search(self) -> None:
        """The search for a fixed weight, and its report."""
        protocol = self.config.protocols[0]
        values = json.loads(self.texts["search.json"])
        code = values["experiment"].pop("code")
        trials = ["search/trials.csv", "search/search.json"]
        inputs = [CONVERT, f"split/{protocol}"]
        self.add("search_trials", values, {**code, **self.config.stage_code("search")}, inputs, trials)
        inputs = ["search_trials", f"train/{self.config.searched}/{protocol}"]
        written = [f"search/search.{suffix}" for suffix in ("csv", "md", "tex", "html", "svg", "png", "pdf", "txt")]
        self.add("search_report", {}, self.config.stage_code("search_report"), inputs, written)

    def _custom_metrics(self) -> dict[str, Any]:
        """The values of a job that measures masks; none without custom metrics."""
        custom = self.config.custom_metrics
        return {"metrics": custom_values(custom)} if custom else {}

    def _add_shown(self, kind: str, name: str, protocol: str, inputs: list[str], suffixes: Iterable[str]) -> None:
        values = json.loads(self.texts[f"{kind}s/{name}.json"])
        # An accepted result keeps its digest, so only its acceptance tells the table to print a note.
        accepted = {key: digest for other in inputs for key, digest in self.accepted[other].items()}
        values |= {"protocol": protocol} | ({"accepted": accepted} if accepted else {})
        outputs = [f"{kind}s/{protocol}/{name}.{suffix}" for suffix in suffixes]
        self.add(f"{kind}/{protocol}/{name}", values, self.config.stage_code(kind), inputs, outputs)

    def _measured(self, name: str, protocol: str, *stages: str) -> list[str]:
        return [f"{stage}/{one}/{protocol}" for one in self.config.trained_for(name) for stage in stages]

    def _tables(self, kind: str) -> list[str]:
        return [name for name in self.config.tables if self.config.table(name).kind == kind]

    def _experiment(self, name: str) -> Any:
        return json.loads(self.texts[f"experiments/{name}.json"])


def _recorded_source(config: Config) -> tuple[Files, Contents]:
    """The files of the source when the slices were converted, and their fingerprints; empty without a record."""
    try:
        record = read_json(config.results / "records" / "convert.json")
        files: Files = record["job"]["values"]["files"]
        found = record.get("source", {}).items()
        return files, {place: {k: Fingerprint.from_values(v) for k, v in known.items()} for place, known in found}
    except (UserError, KeyError, TypeError, AttributeError):
        return {}, {}


def _with_csv(values: dict[str, Any], protocol: str) -> dict[str, Any]:
    """A protocol's values, with the content of the csv that it names."""
    if values.get("method") != "file":
        return values
    try:
        return values | {"sha256": sha256_file(values["path"])}
    except UserError as error:
        raise UserError(
            f"config: protocols.{protocol}.path: {error}; expected a csv with the columns slice,fold,role"
        ) from error
