"""The result of a search for a fixed weight compared with the schedule that needs no search: a table and a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.report.figures import style, write_drawing
from mmran.report.formats import MISSING, Cell, Column, Table, write_table
from mmran.training.record import RunRecord, read_runs
from mmran.tune.search import COMPLETE, DIMENSIONS, FAILED, STATUSES, SearchRecord

TITLE = "Searching for a fixed weight of the two tasks"
_PANEL_INCHES, _LEFT_INCHES, _BARS_INCHES = 2.3, 0.5, 2.0
_INK = "#332389"


@dataclass(frozen=True)
class Found:
    """A search and the training it is compared with.

    Attributes:
        search: record of the search.
        trials: what trials.csv holds.
        run: record of the training.
        best: its best epoch on the validation slices, a row of history.csv.
        spec: its specification.
    """

    search: SearchRecord
    trials: pd.DataFrame
    run: RunRecord
    best: Mapping[str, Any]
    spec: Experiment

    @property
    def schedule(self) -> str:
        """Name of the training, for readers."""
        name = self.spec.schedule.name
        return {"dynamic": "Dynamic weights", "freeze": "Freeze training"}.get(name, f"Schedule {name}")

    @property
    def unit(self) -> str:
        """Unit of `hours`."""
        return "GPU-hours" if self.search.device == "cuda" else "core-hours"

    def hours(self, record: RunRecord | SearchRecord) -> float:
        """Hours of a GPU, or of a CPU core."""
        share = 1 / getattr(record, "trials_per_gpu", 1) if record.device == "cuda" else record.threads
        return record.seconds * share / 3600


def read_found(search: Path, trained: Path) -> Found:
    """Read a search, and the training of the searched experiment with the same data, seed and fold.

    Args:
        search: folder of search.json and trials.csv.
        trained: folder of runs.json, history.csv and spec.json.

    Raises:
        UserError: the two do not belong together.
    """
    record = SearchRecord.read(search / "search.json")
    run = next((run for run in read_runs(trained / "runs.json") if run.digest == record.digest), None)
    if run is None:
        raise UserError(
            f"{trained / 'runs.json'}: no training of {record.experiment} on the data and split, with the "
            f"options and code that {search / 'search.json'} was made with; run `snakemake search` again"
        )
    history = pd.read_csv(trained / "history.csv")
    history = history[(history["seed"] == run.seed) & (history["fold"] == run.fold)]
    best = {str(key): value for key, value in history.iloc[int(history["score"].to_numpy().argmax())].items()}
    return Found(record, pd.read_csv(search / "trials.csv"), run, best, Experiment.read(trained / "spec.json"))


def write_report(search: Path, trained: Path, output: Path) -> list[Path]:
    """Write the table (csv, md, tex, html) and the figure (svg, png, pdf, txt) next to each other; returns the paths.

    Raises:
        UserError: as `read_found`.
    """
    found = read_found(search, trained)
    paths = write_table(table(found), output)
    with matplotlib.style.context(["default", style.RC]):
        return paths + write_drawing(draw(found), output)


def table(found: Found) -> Table:
    """The training without a search and the best trial of the search: validation metrics and cost."""
    training, best = found.spec.training, found.search.best
    n_trials = sum(found.search.trials.values())
    dynamic = {
        "row": found.schedule,
        "alpha": None,
        "learning_rate": training.learning_rate,
        "batch_size": training.batch_size,
        **{key: found.best[key] for key in _METRICS},
        "trainings": 1,
        "epochs": found.run.epochs,
        "hours": found.hours(found.run),
    }
    searched = {
        "row": "Best fixed weight found",
        **{key: getattr(best, key) for key in ("alpha", "learning_rate", "batch_size", *_METRICS)},
        "trainings": n_trials,
        "epochs": found.search.epochs,
        "hours": found.hours(found.search),
    }
    columns = [Column(key, title.format(unit=found.unit)) for key, title in _COLUMNS.items()]
    rows = tuple(tuple(_cell(key, row, (dynamic, searched)) for key in _COLUMNS) for row in (dynamic, searched))
    return Table("search", TITLE, tuple(columns), rows, tuple(_notes(found)))


_METRICS = ("val_dice", "val_acc", "score")
_COLUMNS = {
    "row": "",
    "alpha": "α",
    "learning_rate": "learning rate",
    "batch_size": "batch",
    "val_dice": "validation Dice (%)",
    "val_acc": "validation Acc (%)",
    "score": "mean (%)",
    "trainings": "trainings",
    "epochs": "epochs",
    "hours": "{unit}",
}


def _cell(key: str, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Cell:
    value = row[key]
    if key == "row":
        return Cell(value)
    text = _text(key, value)
    if key in _METRICS:
        return Cell(text, best=float(text) == max(float(_text(key, other[key])) for other in rows))
    if key == "hours":
        return Cell(text, best=float(text) == min(float(_text(key, other[key])) for other in rows))
    return Cell(text)


def _text(key: str, value: Any) -> str:
    if value is None:
        return MISSING
    if key in _METRICS:
        return f"{100 * value:.2f}"
    return f"{value:.3g}" if key in ("alpha", "learning_rate", "hours") else str(int(value))


def _notes(found: Found) -> list[str]:
    search = found.search
    counts = ", ".join(f"{search.trials[status]} {status}" for status in STATUSES if search.trials[status])
    place = f"{search.device_name}, {search.precision}"
    notes = [
        f"Validation slices of fold {search.fold}, seed {search.seed}; no test slice is used. The best "
        f"epoch of each. The search: {counts}; it chose among {', '.join(_choices(search.space))}, while the "
        f"training without a search has the configured values. Hours are of training, on {place}.",
    ]
    if search.trials_per_gpu > 1 and search.device == "cuda":
        notes.append(f"{search.trials_per_gpu} trials of the search shared a GPU; each counts as its share of the GPU.")
    if found.run.device_name != search.device_name:
        notes.append(f"The training without a search ran on {found.run.device_name}: the hours are not comparable.")
    return notes


def _choices(space: Mapping[str, Any]) -> list[str]:
    names = {"alpha": "α", "learning_rate": "learning rate", "batch_size": "batch"}
    texts = []
    for key in DIMENSIONS:
        if key not in space:
            continue
        choices = space[key]
        some = isinstance(choices, dict)
        values = f"{choices['low']:g} to {choices['high']:g}" if some else " or ".join(f"{c:g}" for c in choices)
        texts.append(f"{names[key]} {values}")
    return texts


def draw(found: Found) -> style.Drawing:
    """Left, the validation score of each trial over its weight; right, the hours spent."""
    figure = style.new_figure(_PANEL_INCHES + 0.65)
    width = style.WIDTH_INCHES - _LEFT_INCHES - _BARS_INCHES - 1.5
    _draw_scores(style.place(figure, _LEFT_INCHES, 0.2, width, _PANEL_INCHES), found)
    bars = style.place(figure, style.WIDTH_INCHES - _BARS_INCHES - 0.15, 0.2, _BARS_INCHES, _PANEL_INCHES)
    _draw_hours(bars, found)
    failed = found.search.trials[FAILED]
    caption = (
        f"{TITLE}. Left: best validation score (mean of Dice and accuracy) of each trial over its fixed weight α. Full "
        f"circles ran to the end, open ones stopped early; the area is the share of epochs trained."
        + (f" {failed} failed and {'is' if failed == 1 else 'are'} not shown." if failed else "")
        + f" The line is the best validation score with {found.schedule.lower()}, one training. Right: the cost. "
        "Trials differ in learning rate and batch size too."
    )
    return style.Drawing(figure, caption)


def _draw_scores(axes: Axes, found: Found) -> None:
    trials = found.trials[found.trials["status"] != FAILED]
    complete = (trials["status"] == COMPLETE).to_numpy()
    share = trials["epochs"] / found.run.epochs
    axes.axhline(100 * found.best["score"], color=style.ACCENT, linestyle=(0, (5, 2)), linewidth=1.2, zorder=1)
    for chosen, face in ((complete, _INK), (~complete, "white")):
        axes.scatter(
            trials["alpha"][chosen],
            100 * trials["score"][chosen],
            s=10 + 40 * share[chosen],
            facecolor=face,
            edgecolor=_INK,
            linewidth=0.8,
            zorder=2,
        )
    best = found.search.best
    axes.annotate(
        f"best found: α = {best.alpha:.3g}",
        (best.alpha, 100 * (best.score or 0)),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        va="bottom",
    )
    axes.text(
        1.01,
        100 * found.best["score"],
        found.schedule,
        transform=axes.get_yaxis_transform(),
        va="center",
        color=style.ACCENT,
    )
    axes.set_xlim(0, 1)
    axes.margins(y=0.15)
    axes.set_xlabel("fixed weight α of the classification loss")
    axes.set_ylabel("best validation score (%)")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_hours(axes: Axes, found: Found) -> None:
    search = found.search
    hours = [found.hours(found.run), found.hours(search)]
    n_trials = sum(search.trials.values())
    axes.bar((0, 1), hours, width=0.55, color=(style.ACCENT, _INK))
    for x, value in enumerate(hours):
        axes.text(x, value, f"{value:.3g}", ha="center", va="bottom")
    axes.set_xticks((0, 1), (f"{found.schedule}\n1 training", f"search\n{n_trials} trainings"))
    axes.set_ylabel(found.unit)
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["top", "right"]].set_visible(False)
