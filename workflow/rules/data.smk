# .mat files, or a table of images and masks -> one slice store -> an audit -> which slices train and test


rule phantom:
    output:
        slices=directory(f"{RESULTS}/phantom"),
        record=f"{RESULTS}/records/phantom.json",
    log:
        f"{RESULTS}/logs/phantom.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        **CONFIG.values["data"]["phantom"],
        job=f"{RESULTS}/specs/jobs/phantom.json",
    shell:
        logged(
            "python -m mmran --job {params.job:q} phantom --output {output.slices:q} --patients {params.patients}"
            " --size {params.size} --seed {params.seed}"
        )


rule convert:
    input:
        **read_by(
            "convert",
            source=CONFIG.source or rules.phantom.output.slices,
        ),
    output:
        store=f"{RESULTS}/data/slices.h5",
        index=f"{RESULTS}/data/index.csv",
        record=f"{RESULTS}/records/convert.json",
    log:
        f"{RESULTS}/logs/convert.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/convert.json",
        field_of_view_mm=CONFIG.values["data"]["field_of_view_mm"],
        classes=(
            ["--classes", *CONFIG.values["data"]["classes"]]
            if "classes" in CONFIG.values["data"]
            else []
        ),
        channels=(
            ["--channels", *CONFIG.values["data"]["channels"]]
            if "channels" in CONFIG.values["data"]
            else []
        ),
        tasks=(
            ["--tasks", *CONFIG.values["data"]["tasks"]]
            if "tasks" in CONFIG.values["data"]
            else []
        ),
        tumor_values=(
            ["--tumor-values", *CONFIG.values["data"]["tumor_values"]]
            if "tumor_values" in CONFIG.values["data"]
            else []
        ),
        keep_going="--keep-going" if CONFIG.values["data"]["keep_going"] else "",
    shell:
        logged(
            "python -m mmran --job {params.job:q} convert {input.source:q} --output {output.store:q}"
            " --field-of-view-mm {params.field_of_view_mm} {params.classes} {params.channels} {params.tasks}"
            " {params.tumor_values} {params.keep_going}"
        )


rule verify:
    input:
        **read_by(
            "verify",
            store=rules.convert.output.store,
            index=rules.convert.output.index,
        ),
    output:
        audit=f"{RESULTS}/data/audit.json",
        record=f"{RESULTS}/records/verify.json",
    log:
        f"{RESULTS}/data/audit.txt",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/verify.json",
    shell:
        logged(
            "python -m mmran --job {params.job:q} verify {input.store:q} --output {output.audit:q}"
        )


rule split:
    input:
        **read_by(
            "split/{protocol}",
            store=rules.convert.output.store,
            index=rules.convert.output.index,
        ),
    output:
        csv=f"{RESULTS}/splits/{{protocol}}.csv",
        report=f"{RESULTS}/splits/{{protocol}}.json",
        record=f"{RESULTS}/records/split/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/split/{{protocol}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/split/{{protocol}}.json",
        spec=f"{RESULTS}/specs/protocols/{{protocol}}.json",
    shell:
        logged(
            "python -m mmran --job {params.job:q} split {input.store:q} --spec {params.spec:q} --output {output.csv:q}"
        )
