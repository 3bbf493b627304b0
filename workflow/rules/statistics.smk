# Cases -> intervals, tests and claims: `snakemake statistics`, beside the tables


localrules:
    nearest_slice,
    compare,


rule statistics:
    input:
        RUN.shown("statistics/{protocol}/{name}.csv", ["claims"]),


rule nearest_slice:
    input:
        store=rules.convert.output.store,
        split=rules.split.output.csv,
    output:
        spec=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/spec.json",
        predictions=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/predictions.h5",
        cases=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/cases.csv",
        summary=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/summary.json",
    log:
        f"{RESULTS}/logs/nearest-slice/{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        folder=lambda wildcards, output: Path(output.spec).parent,
    shell:
        "python -m mmran nearest-slice --store {input.store:q} --split {input.split:q} --output {params.folder:q}"
        " > {log:q} 2>&1"


rule compare:
    input:
        nearest=rules.nearest_slice.output.summary,
        summaries=lambda wildcards: expand(
            rules.evaluate.output.summary,
            experiment=CONFIG.compared,
            protocol=wildcards.protocol,
        ),
    output:
        multiext(
            f"{RESULTS}/statistics/{{protocol}}/",
            "intervals.csv",
            "comparisons.csv",
            "perclass.csv",
            "strata.csv",
            "worst.csv",
            "calibration.csv",
            "reliability.csv",
            "claims.csv",
        ),
    log:
        f"{RESULTS}/logs/compare/{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        spec=f"{RESULTS}/specs/comparison.json",
        results=RESULTS,
        folder=lambda wildcards, output: Path(output[0]).parent,
    shell:
        "python -m mmran compare {params.results:q} --protocol {wildcards.protocol:q} --spec {params.spec:q}"
        " --rows nearest-slice --output {params.folder:q} > {log:q} 2>&1"
