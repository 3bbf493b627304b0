# Trained experiments -> folders that others can use: `snakemake models`, beside the tables


localrules:
    package,


rule models:
    input:
        expand(
            f"{RESULTS}/models/{{protocol}}/{{experiment}}",
            protocol=CONFIG.protocols,
            experiment=CONFIG.experiments(),
        ),


rule package:
    input:
        **read_by(
            "package/{experiment}/{protocol}",
            store=rules.convert.output.store,
            split=rules.split.output.csv,
            trials=rules.train.output.trials,
            runs=rules.train.output.runs,
            summary=rules.evaluate.output.summary,
        ),
    output:
        model=directory(f"{RESULTS}/models/{{protocol}}/{{experiment}}"),
        record=f"{RESULTS}/records/package/{{experiment}}/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/package/{{experiment}}-{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/package/{{experiment}}/{{protocol}}.json",
        results=lambda wildcards: RESULTS,
        license=CONFIG.values["data"].get("license") or "not stated",
    shell:
        logged(
            "python -m mmran --job {params.job:q} package {params.results:q} {wildcards.experiment:q}"
            " --protocol {wildcards.protocol:q} --output {output.model:q} --data-license {params.license:q}"
        )
