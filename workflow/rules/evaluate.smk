# Weights -> probabilities of every test slice -> one row per slice: the source of every number


rule predict:
    input:
        spec=rules.train.output.spec,
        store=rules.convert.output.store,
        split=rules.split.output.csv,
        trials=rules.train.output.trials,
        runs=rules.train.output.runs,
        code=f"{RESULTS}/specs/stages/predict.json",
    output:
        predictions=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/predictions.h5",
        inference=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/inference.json",
    log:
        f"{RESULTS}/logs/predict/{{experiment}}-{{protocol}}.log",
    conda:
        ENVIRONMENT
    threads: resource("threads")
    resources:
        gpu=resource("gpus"),
        mem_mb=resource("memory_mb"),
        slurm_partition=resource("partition"),
    params:
        trained=lambda wildcards, input: Path(input.runs).parent,
    shell:
        "python -m mmran predict --spec {input.spec:q} --store {input.store:q} --split {input.split:q}"
        " --trained {params.trained:q} --output {output.predictions:q} --threads {threads} --gpus {resources.gpu}"
        " > {log:q} 2>&1"


rule evaluate:
    input:
        predictions=rules.predict.output.predictions,
        store=rules.convert.output.store,
        code=f"{RESULTS}/specs/stages/evaluate.json",
    output:
        cases=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/cases.csv",
        summary=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/summary.json",
    log:
        f"{RESULTS}/logs/evaluate/{{experiment}}-{{protocol}}.log",
    conda:
        ENVIRONMENT
    resources:
        slurm_partition=resource("partition"),
    shell:
        "python -m mmran evaluate {input.predictions:q} --store {input.store:q} --cases {output.cases:q}"
        " --summary {output.summary:q} > {log:q} 2>&1"
