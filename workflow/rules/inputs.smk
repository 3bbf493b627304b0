# What rules ask the configuration: resources of an experiment, parts of a table, results for a figure


def resource(name):
    """What the configuration says of an experiment's job."""
    return lambda wildcards: CONFIG.resources(wildcards.experiment)[name]


def parts(wildcards):
    """What a table is made of: what its experiments measured, or what their networks are and cost."""
    table = CONFIG.table(wildcards.table)
    stages = [rules.evaluate.output.summary]
    if table.kind == "parameters":
        stages = [rules.train.output.runs, rules.predict.output.inference]
    made = expand(
        stages,
        experiment=CONFIG.trained_for(wildcards.table),
        protocol=wildcards.get("protocol", CONFIG.protocols[0]),
    )
    return made + expand(
        rules.networks.output,
        table=[wildcards.table] if table.kind == "parameters" else [],
    )


def measured(stage):
    """What a stage has made of every experiment of a figure."""
    return lambda wildcards: expand(
        stage,
        experiment=CONFIG.trained_for(wildcards.figure),
        protocol=wildcards.get("protocol", CONFIG.protocols[0]),
    )
