"""Verbs that compute with networks: train, predict."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from mmran.cli.numbers import at_least_one, not_negative
from mmran.cli.results import metrics_argument
from mmran.cli.verb import Verb


def trial_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of every verb that computes with networks."""
    parser.add_argument("--spec", type=Path, required=True, metavar="JSON", help="specification of the experiment")
    parser.add_argument("--store", type=Path, required=True, metavar="H5", help="converted slices")
    parser.add_argument("--split", type=Path, required=True, metavar="CSV", help="slices that train, validate and test")
    parser.add_argument(
        "--threads", type=at_least_one, default=1, metavar="N", help="CPU threads of a trial (default: %(default)s)"
    )
    parser.add_argument(
        "--gpus", type=not_negative, default=0, metavar="N", help="GPUs to use, 0 for the CPU (default: %(default)s)"
    )


def many_trials_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of verbs that train many trials: checkpoints, GPU sharing, and logging."""
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("results/.work"),
        metavar="DIR",
        help="checkpoints and finished trials (default: %(default)s)",
    )
    parser.add_argument(
        "--trials-per-gpu",
        type=at_least_one,
        default=1,
        metavar="N",
        help="trials that share one GPU (default: %(default)s)",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="file for the lines of every epoch")
    parser.add_argument("--verbose", action="store_true", help="print every epoch, not only finished trials")


def _train_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for weights, history and records"
    )
    many_trials_arguments(parser)
    parser.add_argument("--no-ray", action="store_true", help="train in this process, one trial after another")
    parser.add_argument(
        "--evaluate", action="store_true", help="predict and evaluate too, as `mmran predict --evaluate` does"
    )
    metrics_argument(parser)


def _train(arguments: Namespace) -> None:
    from mmran.config.experiment import Experiment
    from mmran.files import read_text
    from mmran.training.publish import publish
    from mmran.training.trial import plan_trials
    from mmran.tune.cluster import TrialResources
    from mmran.tune.output import Output
    from mmran.tune.runner import train_trials

    in_workflow = bool(arguments.workflow_jobs)
    with Output(arguments.log, arguments.verbose, shared=in_workflow) as output:
        # Read once, so the record names what was trained even if the file changes during training.
        spec = read_text(arguments.spec)
        experiment = Experiment.parse(spec, arguments.spec)
        trials = plan_trials(experiment, arguments.store, arguments.split, arguments.work)
        # The workflow says it of a whole job, with the time left for the run (mmran.workflow.progress).
        output.quiet = in_workflow and len(trials) == 1
        resources = TrialResources(arguments.threads, arguments.gpus, arguments.trials_per_gpu)
        train_trials(trials, resources, output, ray=not arguments.no_ray)
        publish(trials, spec, arguments.output)
        if arguments.evaluate:
            for line in _predicted(arguments, arguments.output, arguments.output / "predictions.h5"):
                output.result(line)


def _predict_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument("--trained", type=Path, required=True, metavar="DIR", help="the --output of `mmran train`")
    parser.add_argument("--output", type=Path, required=True, metavar="H5", help="predictions to write")
    parser.add_argument(
        "--evaluate", action="store_true", help="evaluate them too: cases.csv and summary.json beside the predictions"
    )
    metrics_argument(parser)


def _predict(arguments: Namespace) -> None:
    for line in _predicted(arguments, arguments.trained, arguments.output):
        print(line)


def _predicted(arguments: Namespace, trained: Path, predictions: Path) -> Iterator[str]:
    """Predict, and evaluate with --evaluate; yields what to print.

    Args:
        arguments: of `trial_arguments`, and `evaluate`.
        trained: the --output of `mmran train`.
        predictions: predictions.h5 to write.
    """
    from mmran.config.experiment import Experiment
    from mmran.evaluation.predict import predict_trials
    from mmran.training.trial import plan_trials

    # As it was trained, whatever happened to the file since.
    spec = trained / "spec.json" if arguments.verb == "train" else arguments.spec
    trials = plan_trials(Experiment.read(spec), arguments.store, arguments.split, trained)
    n = predict_trials(trials, spec, trained, predictions, gpu=arguments.gpus > 0, threads=arguments.threads)
    yield f"{predictions}: {n} test slices predicted"
    if arguments.evaluate:
        from mmran.cli.results import described
        from mmran.evaluation.custom_metrics import read_custom_metrics
        from mmran.evaluation.evaluate import evaluate

        cases, summary = (predictions.with_name(name) for name in ("cases.csv", "summary.json"))
        custom = read_custom_metrics(arguments.metrics)
        yield described(evaluate(predictions, arguments.store, arguments.split, cases, summary, custom))


VERBS = (
    Verb(
        "train",
        "train one experiment: its seeds times the folds of a split",
        "Train every trial of an experiment: each seed on each fold. A trial is recognized by the digest of its\n"
        "specification, code and data: a finished one is kept, an interrupted one continues from its checkpoint.\n"
        "A single trial on a CPU trains in this process; Ray runs several, or those on GPUs.\n\n"
        "reads:   --spec (`snakemake` writes it), --store (`mmran convert`), --split (`mmran split`)\n"
        "writes:  DIR/trials/*/weights.safetensors, DIR/history.csv, DIR/runs.json, DIR/spec.json; with\n"
        "         --evaluate also DIR/predictions.h5, DIR/inference.json, DIR/cases.csv, DIR/summary.json\n"
        "example: mmran train --spec results/demo/specs/experiments/mmran.json \\\n"
        "             --store results/demo/data/slices.h5 --split results/demo/splits/paper.csv \\\n"
        "             --output results/demo/experiments/mmran/paper --verbose",
        _train_arguments,
        _train,
    ),
    Verb(
        "predict",
        "apply the trained networks to the test slices",
        "Compute the tumor probability of every pixel, at the slice's own size, and the class probabilities.\n\n"
        "reads:   --spec, --store and --split as `mmran train`, and its --output\n"
        "writes:  predictions.h5 and inference.json; with --evaluate also cases.csv and summary.json\n"
        "example: mmran predict --spec results/demo/specs/experiments/mmran.json \\\n"
        "             --store results/demo/data/slices.h5 --split results/demo/splits/paper.csv \\\n"
        "             --trained results/demo/experiments/mmran/paper \\\n"
        "             --output results/demo/experiments/mmran/paper/predictions.h5",
        _predict_arguments,
        _predict,
    ),
)
