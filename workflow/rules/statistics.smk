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
        RUN.shown(
            "tables/{protocol}/{name}",
            EVIDENCE if CONFIG.comparison.rows else [],
            TABLE_FILES,
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
        metrics=MEASURED,
    shell:
        logged(
            "python -m mmran --job {params.job:q} nearest-slice --store {input.store:q} --split {input.split:q}"
            " --output {params.folder:q} {params.metrics:q}"
        )


rule compare:
    input:
        **read_by(
            "compare/{protocol}",
            nearest=rules.nearest_slice.output.summary,
            summaries=comparison_inputs,
        ),
    output:
        **{
            name: report(
                f"{RESULTS}/statistics/{{protocol}}/{name}.csv",
                caption="../report/statistics.rst",
                category="Intervals and tests",
                subcategory="{protocol}",
                labels={"file": f"{name}.csv"},
            )
            for name in COMPARED
        },
        **{
            f"{name}_table": report(
                f"{RESULTS}/tables/{{protocol}}/{name}.html",
                caption="../report/evidence.rst",
                category="Tables",
                subcategory="{protocol}",
                labels={"table": name},
            )
            for name in EVIDENCE
        },
        others=expand(
            f"{RESULTS}/tables/{{{{protocol}}}}/{{name}}.{{suffix}}",
            name=EVIDENCE,
            suffix=[suffix for suffix in TABLE_FILES if suffix != "html"],
        ),
        record=f"{RESULTS}/records/compare/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/compare/{{protocol}}.log",
    priority: 1  # tables and figures, of which there are many, run beside it
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/compare/{{protocol}}.json",
        spec=f"{RESULTS}/specs/comparison.json",
        subgroups=(
            ["--subgroups", f"{RESULTS}/specs/subgroups.csv"]
            if CONFIG.subgroups
            else []
        ),
        results=lambda wildcards: RESULTS,
        folder=lambda wildcards, output: Path(output.intervals).parent,
        tables=lambda wildcards, output: Path(output.claims_table).parent,
    shell:
        logged(
            "python -m mmran --job {params.job:q} compare {params.results:q} --protocol {wildcards.protocol:q}"
            " --spec {params.spec:q} --output {params.folder:q} --tables {params.tables:q}"
            " {params.subgroups:q}"
        )
