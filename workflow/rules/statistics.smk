# Cases -> intervals, tests and claims, also by themselves: `snakemake statistics`


localrules:
    nearest_slice,
    compare,


rule statistics:
    input:
        RUN.shown(
            "statistics/{protocol}/{name}",
            COMPARED if CONFIG.comparison.rows else [],
            ["csv"],
        ),


rule nearest_slice:
    input:
        **read_by(
            "nearest_slice/{protocol}",
            store=rules.convert.output.store,
            split=rules.split.output.csv,
        ),
    output:
        spec=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/spec.json",
        predictions=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/predictions.h5",
        cases=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/cases.csv",
        summary=f"{RESULTS}/experiments/nearest-slice/{{protocol}}/summary.json",
        record=f"{RESULTS}/records/nearest_slice/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/nearest-slice/{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/nearest_slice/{{protocol}}.json",
        folder=lambda wildcards, output: Path(output.spec).parent,
    shell:
        logged(
            "python -m mmran --job {params.job:q} nearest-slice --store {input.store:q} --split {input.split:q}"
            " --output {params.folder:q}"
        )


rule compare:
    input:
        **read_by(
            "compare/{protocol}",
            nearest=rules.nearest_slice.output.summary,
            summaries=comparison_inputs,
        ),
    output:
        expand(f"{RESULTS}/statistics/{{{{protocol}}}}/{{name}}.csv", name=COMPARED),
        record=f"{RESULTS}/records/compare/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/compare/{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/compare/{{protocol}}.json",
        spec=f"{RESULTS}/specs/comparison.json",
        results=lambda wildcards: RESULTS,
        folder=lambda wildcards, output: Path(output[0]).parent,
    shell:
        logged(
            "python -m mmran --job {params.job:q} compare {params.results:q} --protocol {wildcards.protocol:q}"
            " --spec {params.spec:q} --output {params.folder:q}"
        )
