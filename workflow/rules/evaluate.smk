# Weights -> probabilities of every test slice -> one row per slice: the source of every number


CASES = report(
    f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/cases.csv",
    caption="../report/cases.rst",
    category="Cases",
    subcategory="{protocol}",
    labels={"experiment": "{experiment}"},
)


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
        cases=CASES,
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
        metrics=MEASURED,
    shell:
        logged(
            "python -m mmran --job {params.job:q} evaluate {input.predictions:q} --store {input.store:q}"
            " --split {input.split:q}"
            " --cases {output.cases:q} --summary {output.summary:q} {params.metrics:q}"
        )


# The rules above in one process, on this machine's CPU: a small experiment trains in the time in which Python starts three
# times. It applies where an experiment has to train; what only predicts or evaluates again does so by its own rule.
ruleorder: train_predict_and_evaluate > train
ruleorder: train_predict_and_evaluate > predict
ruleorder: train_predict_and_evaluate > evaluate


rule train_predict_and_evaluate:
    input:
        **read_by(
            "train/{experiment}/{protocol}",
            store=rules.convert.output.store,
            split=rules.split.output.csv,
        ),
        applies=only_to_train_here,
    output:
        trials=directory(f"{RESULTS}/experiments/{{experiment}}/{{protocol}}/trials"),
        runs=rules.train.output.runs,
        history=rules.train.output.history,
        spec=rules.train.output.spec,
        predictions=rules.predict.output.predictions,
        inference=rules.predict.output.inference,
        cases=CASES,
        summary=rules.evaluate.output.summary,
        records=[
            rules.train.output.record,
            rules.predict.output.record,
            rules.evaluate.output.record,
        ],
    log:
        rules.train.log[0],
    priority: 2  # the longest jobs first
    conda:
        "../../envs/mmran.yaml"
    threads: resource("threads")
    resources:
        mem_mb=resource("memory_mb"),
    params:
        train=rules.train.params.job,
        predict=rules.predict.params.job,
        evaluate=rules.evaluate.params.job,
        spec=rules.train.params.spec,
        work=rules.train.params.work,
        output=rules.train.params.output,
        metrics=MEASURED,
    shell:
        # As in `train`: only the training answers SIGTERM.
        "trap '' TERM;"
        " python -m mmran --job {params.train:q} --job {params.predict:q} --job {params.evaluate:q} train --evaluate"
        " --spec {params.spec:q} --store {input.store:q} --split {input.split:q} --output {params.output:q}"
        " --work {params.work:q} --threads {threads} --log {log:q} {params.metrics:q}"
