# What rules ask the configuration: resources of an experiment, inputs of a table, results for a figure.


def timeless(paths):
    """Inputs of which only the absence counts: records decide what is out of date, not times."""
    # A copy: the flag would stick to the output that the path comes from.
    return ancient(
        str(paths) if isinstance(paths, str) else [str(path) for path in paths]
    )


def resource(name):
    """What the configuration says of an experiment's job."""
    return lambda wildcards: CONFIG.resources(wildcards.experiment)[name]


def table_inputs(wildcards):
    """What a table is made from: what its experiments measured, or what their networks are and cost."""
    stages, sizes = [rules.evaluate.output.summary], []
    if CONFIG.table(wildcards.table).kind == "parameters":
        stages = [rules.train.output.runs, rules.predict.output.inference]
        sizes = expand(rules.networks.output.sizes, table=wildcards.table)
    return timeless(sizes + results_of(wildcards.table, wildcards.protocol, *stages))


def figure_inputs(stage):
    """What a stage has made of every experiment of a figure."""
    return lambda wildcards: timeless(
        results_of(wildcards.figure, wildcards.protocol, stage)
    )


def results_of(name, protocol, *stages):
    return expand(stages, experiment=CONFIG.trained_for(name), protocol=protocol)
