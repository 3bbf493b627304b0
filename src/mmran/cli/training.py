"""Verbs that compute with networks: train, predict."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.numbers import at_least_one, not_negative
from mmran.cli.verb import Verb


def trial_arguments(parser: ArgumentParser) -> None:
    """Add what every verb that computes with networks needs."""
    parser.add_argument("--spec", type=Path, required=True, metavar="JSON", help="specification of the experiment")
    parser.add_argument("--store", type=Path, required=True, metavar="H5", help="converted slices")
    parser.add_argument("--split", type=Path, required=True, metavar="CSV", help="who trains, validates and tests")
    parser.add_argument(
        "--threads", type=at_least_one, default=1, metavar="N", help="CPU threads of a trial (default: %(default)s)"
    )
    parser.add_argument(
        "--gpus", type=not_negative, default=0, metavar="N", help="GPUs to use, 0 for the CPU (default: %(default)s)"
    )


def sharing_arguments(parser: ArgumentParser) -> None:
    """Add where trainings in progress lie, and how they share GPUs."""
    parser.add_argument(
        "--work", type=Path, default=Path("results/.work"), metavar="DIR", help="checkpoints (default: %(default)s)"
    )
    parser.add_argument(
        "--trials-per-gpu",
        type=at_least_one,
        default=1,
        metavar="N",
        help="trials that share one GPU (default: %(default)s)",
    )


def _train_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of weights, history and record"
    )
    sharing_arguments(parser)
    parser.add_argument("--no-ray", action="store_true", help="train in this process, one trial after the other")


def _train(arguments: Namespace) -> None:
    from mmran.config.experiment import Experiment
    from mmran.files import read_text
    from mmran.training.publish import publish
    from mmran.training.trial import plan_trials

    # Read once: whatever happens to the file while this trains, the record names what was trained.
    spec = read_text(arguments.spec)
    experiment = Experiment.parse(spec, arguments.spec)
    trials = plan_trials(experiment, arguments.store, arguments.split, arguments.work)
    if arguments.no_ray:
        from mmran.training.run import run_trial

        for trial in trials:
            run_trial(trial, gpu=arguments.gpus > 0, threads=arguments.threads)
    else:
        from mmran.tune.cluster import TrialResources
        from mmran.tune.runner import train_with_ray

        train_with_ray(trials, TrialResources(arguments.threads, arguments.gpus, arguments.trials_per_gpu))
    publish(trials, spec, arguments.output)


def _predict_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument("--trained", type=Path, required=True, metavar="DIR", help="what train wrote with --output")
    parser.add_argument("--output", type=Path, required=True, metavar="H5", help="predictions")
    parser.add_argument(
        "--evaluate", action="store_true", help="measure them too: cases.csv and summary.json beside the predictions"
    )


def _predict(arguments: Namespace) -> None:
    from mmran.config.experiment import Experiment
    from mmran.evaluation.predict import predict_trials
    from mmran.training.trial import plan_trials

    experiment = Experiment.read(arguments.spec)
    trials = plan_trials(experiment, arguments.store, arguments.split, arguments.trained)
    n = predict_trials(
        trials,
        arguments.spec,
        arguments.trained,
        arguments.output,
        gpu=arguments.gpus > 0,
        threads=arguments.threads,
    )
    print(f"{arguments.output}: {n} test slices predicted")
    if arguments.evaluate:
        from mmran.cli.results import described
        from mmran.evaluation.evaluate import evaluate

        cases, summary = (arguments.output.with_name(name) for name in ("cases.csv", "summary.json"))
        print(described(evaluate(arguments.output, arguments.store, arguments.split, cases, summary)))


VERBS = (
    Verb(
        "train",
        "train one experiment: its seeds times the folds of a split",
        "Train every trial of an experiment, or go on where a trial was stopped. A trial that has ended is found by\n"
        "the digest of its specification, code and data, and is not trained again.\n\n"
        "  mmran train --spec results/demo/specs/experiments/mmran.json --store results/demo/data/slices.h5 \\\n"
        "      --split results/demo/splits/paper.csv --output results/demo/experiments/mmran/paper --no-ray",
        _train_arguments,
        _train,
    ),
    Verb(
        "predict",
        "apply the trained networks to the test slices",
        "Write the tumour probability of every pixel, at the slice's own size, and the class probabilities.\n\n"
        "  mmran predict --spec ... --store ... --split ... --trained results/demo/experiments/mmran/paper \\\n"
        "      --output results/demo/experiments/mmran/paper/predictions.h5",
        _predict_arguments,
        _predict,
    ),
)
