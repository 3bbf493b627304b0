"""The model card of a package: README.md in the form of the Hugging Face hub."""

from collections.abc import Sequence

import yaml

from mmran.config.experiment import Experiment
from mmran.data.published import CLASSES
from mmran.evaluation.summary import Summary
from mmran.inference.record import NOTICE, Package
from mmran.metrics.names import find_metric
from mmran.statistics.intervals import Interval

_HEADLINE = ("dice", "hd95_mm", "miou", "acc", "f1", "auc_macro")
"""Metrics of the card, in this order; results.csv has all of them."""


def model_card(
    record: Package, spec: Experiment, results: Sequence[Interval], summary: Summary, classes: Sequence[str]
) -> str:
    """The text of the card.

    Args:
        record: the package.
        spec: what was trained.
        results: its metrics with intervals.
        summary: what was tested.
        classes: names of the data set's classes, whether or not the network predicts them.
    """
    is_brain = tuple(classes) == CLASSES
    seen = "a brain MRI slice" if is_brain else "an image"
    images, first = record.training_images, results[0]
    shape = f"({len(record.channels)}, height, width)" if record.channels else "(height, width)"
    order = f" Channels of an image, in this order: {', '.join(record.channels)}." if record.channels else ""
    named = f" and classifies it as {_either(record.classes)}" if record.classes else ""
    task = f"segments the tumor in {seen}{named}"
    if "segmentation" not in record.tasks:
        task = f"classifies the tumor in {seen} as {_either(record.classes)}"
    low, high = images.tumor_mm2
    tumors = (
        f" Tumors of {low:.0f} to {high:.0f} mm². **Every training image shows a tumor**, so the network has never "
        "seen an image without one: on a healthy slice, it may draw a mask and always names a class."
    )
    few = " These are few families: the intervals are too narrow." if first.few_families else ""
    sections = [
        f"# {record.experiment}",
        f"> {NOTICE}",
        f"A network of type `{spec.network.name}` that {task}. Predictions are {_whose(len(record.weights))} "
        f"({_count(len({one.seed for one in record.weights}), 'seed')}, "
        f"{_count(len({one.fold for one in record.weights}), 'fold')}).",
        "## Use it",
        "```bash\nmmran segment PATH_OF_THIS_FOLDER IMAGE... --output masks\n```",
        '```python\nimport mmran\n\nmodel = mmran.load("PATH_OF_THIS_FOLDER")\n'
        f"prediction = model.predict(image, spacing_mm=0.49)  # {shape} array\n```",
        "## What it was trained on",
        f"{images.slices} slices of {', '.join(images.sizes)} pixels, {images.spacing_mm[0]:.3g} to "
        f"{images.spacing_mm[1]:.3g} mm each.{order}{tumors if high else ''}",
        "Before the network:",
        "\n".join(f"{i}. {step}" for i, step in enumerate(record.preprocessing, start=1)),
        "## Results",
        f"On {first.n_slices} test slices of {first.n_families} patient families, protocol `{record.protocol}`, with "
        f"95 % intervals over families.{few} Each network was tested on slices that it did not train on."
        f"{_absent(summary)}",
        _table(results),
        "## Limits",
        "- It was tested on the data set it was trained on, not at another hospital, scanner or contrast.\n"
        "- Do not test this package on slices of its own data set: across folds, its networks have trained on "
        "them.\n"
        f"- `mmran segment` warns where an image is unlike the {images.slices} training slices in size, spacing, "
        "intensities or tumor area.",
        "## License",
        f"Code: {record.licenses['code']}. Training data: {record.licenses['data']}. Digests of weights, data, split, "
        "and specification are in `package.json`.",
    ]
    return f"---\n{_front_matter(record, spec, results, is_brain)}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(record: Package, spec: Experiment, results: Sequence[Interval], is_brain: bool) -> str:
    tag = "image-segmentation" if "segmentation" in record.tasks else "image-classification"
    metrics = [
        {"type": one.metric, "value": round(float(one.estimate), 4), "name": find_metric(one.metric).title}
        for one in results
        if one.variant == results[0].variant and one.metric in _HEADLINE and one.estimate is not None
    ]
    values = {
        "license": record.licenses["code"].lower(),
        "library_name": "mmran",
        "pipeline_tag": tag,
        "tags": ["medical", *(["mri", "brain-tumor"] if is_brain else []), *record.tasks],
        "model-index": [
            {
                "name": record.experiment,
                "results": [
                    {
                        "task": {"type": tag},
                        "dataset": {
                            "name": f"test slices of protocol {record.protocol}",
                            "type": "brain-tumor-mri" if is_brain else "medical-images",
                        },
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _table(results: Sequence[Interval]) -> str:
    variants = list(dict.fromkeys(one.variant for one in results))
    known = {(one.metric, one.variant): one for one in results}
    metrics = [name for name in _HEADLINE if (name, variants[0]) in known]
    lines = [f"| metric | {' | '.join(variants)} |", f"|---|{'---:|' * len(variants)}"]
    lines += [
        f"| {find_metric(name).title} | {' | '.join(_cell(known.get((name, variant))) for variant in variants)} |"
        for name in metrics
    ]
    return "\n".join(lines)


def _cell(one: Interval | None) -> str:
    if one is None or one.estimate is None:
        return "-"
    metric = find_metric(one.metric)
    bounds = [one.estimate] if one.low is None or one.high is None else [one.estimate, one.low, one.high]
    value, *interval = (metric.text(bound) for bound in bounds)
    return f"{value} [{', '.join(interval)}]" if interval else value


def _absent(summary: Summary) -> str:
    if not summary.absent_classes:
        return ""
    return f" No test slice shows a {' or a '.join(summary.absent_classes)}."


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _whose(networks: int) -> str:
    return "those of one trained network" if networks == 1 else f"the mean over {networks} trained networks"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
