# One job per experiment and protocol; its trials are its seeds times the folds of the split


rule train:
    input:
        spec=f"{RESULTS}/specs/experiments/{{experiment}}.json",
        store=rules.convert.output.store,
        split=rules.split.output.csv,
    output:
        trials=directory(f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/trials"),
        runs=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/runs.json",
        history=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/history.csv",
        spec=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/spec.json",
    log:
        f"{RESULTS}/logs/train/{{experiment}}-{{protocol}}.log",
    conda:
        ENVIRONMENT
    threads: resource("threads")
    resources:
        gpu=resource("gpus"),
        mem_mb=resource("memory_mb"),
        runtime=resource("runtime_minutes"),
        trials_per_gpu=resource("trials_per_gpu"),
        slurm_partition=resource("partition"),
    params:
        # Outside of the outputs, which Snakemake removes when a job fails: what is trained is never lost.
        work=f"{RESULTS}/.work",
        output=lambda wildcards, output: Path(output.runs).parent,
    shell:
        # SIGTERM is the training's alone to answer: the shell and tee live on to report how it ended.
        "trap '' TERM;"
        " python -m mmran train --spec {input.spec:q} --store {input.store:q} --split {input.split:q}"
        " --output {params.output:q} --work {params.work:q} --threads {threads} --gpus {resources.gpu}"
        " --trials-per-gpu {resources.trials_per_gpu} 2>&1 | tee {log:q}"
