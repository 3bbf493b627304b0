# One job per experiment and protocol; its trials are its seeds times the folds of the split


rule train:
    input:
        **read_by(
            "train/{experiment}/{protocol}",
            store=rules.convert.output.store,
            split=rules.split.output.csv,
        ),
    output:
        trials=directory(f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/trials"),
        runs=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/runs.json",
        history=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/history.csv",
        spec=f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/spec.json",
        record=f"{RESULTS}/records/train/{{experiment}}/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/train/{{experiment}}-{{protocol}}.log",
    priority: 2  # the longest jobs first
    conda:
        "../../envs/mmran.yaml"
    threads: resource("threads")
    resources:
        gpu=resource("gpus"),
        mem_mb=resource("memory_mb"),
        runtime=resource("runtime_minutes"),
        trials_per_gpu=resource("trials_per_gpu"),
        slurm_partition=resource("partition"),
    params:
        job=f"{RESULTS}/specs/jobs/train/{{experiment}}/{{protocol}}.json",
        spec=f"{RESULTS}/specs/experiments/{{experiment}}.json",
        # Not an output: Snakemake removes the outputs of a failed job, and trained epochs must survive.
        work=f"{RESULTS}/.work",
        output=lambda wildcards, output: Path(output.runs).parent,
    shell:
        # Only the training answers SIGTERM; the shell stays to report how it ended.
        "trap '' TERM;"
        " python -m mmran --job {params.job:q} train --spec {params.spec:q} --store {input.store:q}"
        " --split {input.split:q} --output {params.output:q} --work {params.work:q} --threads {threads}"
        " --gpus {resources.gpu} --trials-per-gpu {resources.trials_per_gpu} --log {log:q}"
