# Weights -> probabilities of every test slice -> one row per slice: the source of every number


rule predict:
    input:
        **read_by(
            "predict/{experiment}/{protocol}",
            spec=rules.train.output.spec,
            store=rules.convert.output.store,
            split=rules.split.output.csv,
            trials=rules.train.output.trials,
            runs=rules.train.output.runs,
        ),
    output:
        predictions=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/predictions.h5",
        inference=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/inference.json",
        record=f"{RESULTS}/records/predict/{{experiment}}/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/predict/{{experiment}}-{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    threads: resource("threads")
    resources:
        gpu=resource("gpus"),
        mem_mb=resource("memory_mb"),
        slurm_partition=resource("partition"),
    params:
        job=f"{RESULTS}/specs/jobs/predict/{{experiment}}/{{protocol}}.json",
        trained=lambda wildcards, input: Path(input.runs).parent,
    shell:
        logged(
            "python -m mmran --job {params.job:q} predict --spec {input.spec:q} --store {input.store:q}"
            " --split {input.split:q} --trained {params.trained:q} --output {output.predictions:q} --threads {threads}"
            " --gpus {resources.gpu}"
        )


rule evaluate:
    input:
        **read_by(
            "evaluate/{experiment}/{protocol}",
            predictions=rules.predict.output.predictions,
            store=rules.convert.output.store,
            split=rules.split.output.csv,
        ),
    output:
        cases=report(
            f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/cases.csv",
            caption="../report/cases.rst",
            category="Cases",
            subcategory="{protocol}",
            labels={"experiment": "{experiment}"},
        ),
        summary=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/summary.json",
        record=f"{RESULTS}/records/evaluate/{{experiment}}/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/evaluate/{{experiment}}-{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    resources:
        slurm_partition=resource("partition"),
    params:
        job=f"{RESULTS}/specs/jobs/evaluate/{{experiment}}/{{protocol}}.json",
    shell:
        logged(
            "python -m mmran --job {params.job:q} evaluate {input.predictions:q} --store {input.store:q}"
            " --split {input.split:q}"
            " --cases {output.cases:q} --summary {output.summary:q}"
        )
