"""Verbs that compute with networks: train, predict, and run, which shares the GPUs between trainings."""

import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.verb import Verb


def trial_arguments(parser: ArgumentParser) -> None:
    """Add what every verb that computes with networks needs."""
    parser.add_argument("--spec", type=Path, required=True, metavar="JSON", help="specification of the experiment")
    parser.add_argument("--store", type=Path, required=True, metavar="H5", help="converted slices")
    parser.add_argument("--split", type=Path, required=True, metavar="CSV", help="who trains, validates and tests")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads per trial (default: %(default)s)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to use, 0 for the CPU (default: %(default)s)")


def sharing_arguments(parser: ArgumentParser) -> None:
    """Add where trainings in progress lie, and how they share GPUs."""
    parser.add_argument(
        "--work", type=Path, default=Path("results/.work"), metavar="DIR", help="checkpoints (default: %(default)s)"
    )
    parser.add_argument(
        "--trials-per-gpu", type=int, default=1, help="trials that share one GPU (default: %(default)s)"
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
    from mmran.files import write_text
    from mmran.training.trial import deliver, plan_trials

    experiment = Experiment.read(arguments.spec)
    trials = plan_trials(experiment, arguments.store, arguments.split, arguments.work)
    if arguments.no_ray:
        from mmran.training.trial import run_trial

        for trial in trials:
            run_trial(trial, gpu=arguments.gpus > 0, threads=arguments.threads)
    else:
        from mmran.tune.cluster import Share
        from mmran.tune.runner import train_with_ray

        train_with_ray(trials, Share(arguments.threads, arguments.gpus, arguments.trials_per_gpu))
    deliver(trials, arguments.output)
    write_text(arguments.output / "spec.json", arguments.spec.read_text(encoding="utf-8"))


def _predict_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument("--trained", type=Path, required=True, metavar="DIR", help="what train wrote with --output")
    parser.add_argument("--output", type=Path, required=True, metavar="H5", help="predictions")


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


def _run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--cpus", type=int, help="CPUs to hand out (default: all)")
    parser.add_argument("--gpus", type=int, help="GPUs to hand out (default: all)")
    parser.add_argument("command", nargs=REMAINDER, help="what to run; default: snakemake --cores all")


def _run(arguments: Namespace) -> None:
    import os

    import torch

    from mmran.tune.head import run_beside_head

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    cpus = arguments.cpus or len(os.sched_getaffinity(0))
    gpus = torch.cuda.device_count() if arguments.gpus is None else arguments.gpus
    sys.exit(run_beside_head(command or ["snakemake", "--cores", "all"], cpus, gpus))


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
    Verb(
        "run",
        "run a command beside a Ray head that its trainings share",
        "Start a Ray head on this machine, run a command, stop the head, also on Ctrl-C. All trainings that the\n"
        "command starts lease their CPUs and GPUs from that head: no two take one GPU beyond its share.\n\n"
        "  mmran run -- snakemake --cores all --configfile workflow/overlays/demo.yaml",
        _run_arguments,
        _run,
    ),
)
