# What rules ask the configuration: resources of an experiment, inputs of a table, results for a figure.


def logged(command):
    """The command with its output in the job's log; if it fails, the end of the log is shown."""
    return " ".join(
        (command, "> {log:q} 2>&1 || {{ code=$?; tail {log:q} >&2; exit $code; }}")
    )


def read_by(job, **paths):
    """The inputs of a job: those that its command names, and all other files of the jobs that it reads.

    Records decide whether it is out of date, not times (mmran.workflow.start).
    """

    def timeless(path):
        def read(wildcards):
            found = path(wildcards) if callable(path) else expand(path, **wildcards)
            found = found[0] if isinstance(path, str) else found
            return found if RUN.is_stale(job.format(**wildcards)) else ancient(found)

        return read

    def others(wildcards):
        return RUN.files_read_by(job.format(**wildcards))

    return {name: timeless(path) for name, path in {**paths, "others": others}.items()}


# Options of every command that evaluates.
MEASURED = (
    ["--metrics", f"{RESULTS}/specs/metrics.json"] if CONFIG.custom_metrics else []
)


def resource(name):
    """What the configuration says of an experiment's job."""
    return lambda wildcards: CONFIG.resources(wildcards.experiment)[name]


def only_to_train_here(wildcards):
    """Nothing where an experiment has to train on this machine's CPU; else a file that never exists: no such job."""
    on_a_cpu = CONFIG.resources(wildcards.experiment)["gpus"] == 0
    applies = on_a_cpu and RUN.trains_here(wildcards.experiment, wildcards.protocol)
    return [] if applies else f"{RESULTS}/.work/no-such-job"


def table_inputs(wildcards):
    """What a table is made from: what its experiments measured, or what their networks are and cost."""
    stages, others = [rules.evaluate.output.summary], []
    if CONFIG.table(wildcards.table).kind == "parameters":
        stages = [rules.train.output.runs, rules.predict.output.inference]
        others = expand(rules.networks.output.sizes, table=wildcards.table)
    elif CONFIG.shows_nearest(wildcards.table):
        others = expand(rules.nearest_slice.output.summary, protocol=wildcards.protocol)
    return others + results_of(wildcards.table, wildcards.protocol, *stages)


def figure_inputs(stage):
    """What a stage has made of every experiment of a figure."""
    return lambda wildcards: results_of(wildcards.figure, wildcards.protocol, stage)


def comparison_inputs(wildcards):
    """The summaries of every experiment that the comparisons and claims are about."""
    return expand(
        rules.evaluate.output.summary,
        experiment=CONFIG.compared,
        protocol=wildcards.protocol,
    )


def results_of(name, protocol, *stages):
    return expand(stages, experiment=CONFIG.trained_for(name), protocol=protocol)
