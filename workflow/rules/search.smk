# The best fixed weight found by trial and error, against dynamic weights: `snakemake search`, beside the tables


localrules:
    search_report,


rule search:
    input:
        f"{RESULTS}/search/search.csv",


rule search_trials:
    input:
        **read_by(
            "search_trials",
            store=rules.convert.output.store,
            split=expand(rules.split.output.csv, protocol=CONFIG.protocols[0]),
        ),
    output:
        trials=f"{RESULTS}/search/trials.csv",
        best=f"{RESULTS}/search/search.json",
        record=f"{RESULTS}/records/search_trials.json",
    log:
        f"{RESULTS}/logs/search.log",
    conda:
        "../../envs/mmran.yaml"
    threads: CONFIG.search_resources()["threads"]
    resources:
        gpu=CONFIG.search_resources()["gpus"],
        mem_mb=CONFIG.search_resources()["memory_mb"],
        runtime=CONFIG.search_resources()["runtime_minutes"],
        trials_per_gpu=CONFIG.search_resources()["trials_per_gpu"],
        slurm_partition=CONFIG.search_resources()["partition"],
    params:
        job=f"{RESULTS}/specs/jobs/search_trials.json",
        spec=f"{RESULTS}/specs/search.json",
        work=f"{RESULTS}/.work",
        output=lambda wildcards, output: Path(output.best).parent,
    shell:
        # As in `train`: only the search answers SIGTERM.
        "trap '' TERM;"
        " python -m mmran --job {params.job:q} search --spec {params.spec:q} --store {input.store:q} --split {input.split:q}"
        " --output {params.output:q} --work {params.work:q} --threads {threads} --gpus {resources.gpu}"
        " --trials-per-gpu {resources.trials_per_gpu} --log {log:q}"


rule search_report:
    input:
        **read_by(
            "search_report",
            trials=rules.search_trials.output.trials,
            best=rules.search_trials.output.best,
            runs=expand(
                rules.train.output.runs,
                experiment=CONFIG.searched,
                protocol=CONFIG.protocols[0],
            ),
            history=expand(
                rules.train.output.history,
                experiment=CONFIG.searched,
                protocol=CONFIG.protocols[0],
            ),
        ),
    output:
        csv=f"{RESULTS}/search/search.csv",
        md=f"{RESULTS}/search/search.md",
        tex=f"{RESULTS}/search/search.tex",
        html=report(
            f"{RESULTS}/search/search.html",
            caption="../report/search.rst",
            category="Search",
            labels={"what": "table"},
        ),
        svg=report(
            f"{RESULTS}/search/search.svg",
            caption="../report/search.rst",
            category="Search",
            labels={"what": "figure"},
        ),
        png=f"{RESULTS}/search/search.png",
        pdf=f"{RESULTS}/search/search.pdf",
        caption=f"{RESULTS}/search/search.txt",
        record=f"{RESULTS}/records/search_report.json",
    log:
        f"{RESULTS}/logs/search_report.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/search_report.json",
        searched=lambda wildcards, input: Path(input.best).parent,
        trained=lambda wildcards, input: Path(input.history[0]).parent,
    shell:
        logged(
            "python -m mmran --job {params.job:q} search-report {params.searched:q} --trained {params.trained:q} --output {output.csv:q}"
        )
