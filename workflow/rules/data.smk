# .mat files -> one slice store -> what is in it -> who trains and who tests


rule phantom:
    input:
        spec=f"{RESULTS}/specs/data.json",
    output:
        directory(f"{RESULTS}/phantom"),
    log:
        f"{RESULTS}/logs/phantom.log",
    conda:
        ENVIRONMENT
    params:
        **CONFIG.values["data"]["phantom"],
    shell:
        "python -m mmran phantom --output {output:q} --patients {params.patients} --size {params.size}"
        " --seed {params.seed} > {log:q} 2>&1"


rule convert:
    input:
        source=CONFIG.source or rules.phantom.output,
        spec=f"{RESULTS}/specs/data.json",
        code=f"{RESULTS}/specs/stages/convert.json",
    output:
        store=f"{RESULTS}/data/slices.h5",
        index=f"{RESULTS}/data/index.csv",
    log:
        f"{RESULTS}/logs/convert.log",
    conda:
        ENVIRONMENT
    params:
        field_of_view_mm=CONFIG.values["data"]["field_of_view_mm"],
        keep_going="--keep-going" if CONFIG.values["data"]["keep_going"] else "",
    shell:
        "python -m mmran convert {input.source:q} --output {output.store:q}"
        " --field-of-view-mm {params.field_of_view_mm} {params.keep_going} 2>&1 | tee {log:q}"


rule verify:
    input:
        store=rules.convert.output.store,
        index=rules.convert.output.index,
        code=f"{RESULTS}/specs/stages/verify.json",
    output:
        f"{RESULTS}/data/audit.json",
    log:
        f"{RESULTS}/data/audit.txt",
    conda:
        ENVIRONMENT
    shell:
        "python -m mmran verify {input.store:q} --output {output:q} > {log:q} 2>&1"


rule split:
    input:
        store=rules.convert.output.store,
        index=rules.convert.output.index,
        spec=f"{RESULTS}/specs/protocols/{{protocol}}.json",
        code=f"{RESULTS}/specs/stages/split.json",
    output:
        csv=f"{RESULTS}/splits/{{protocol}}.csv",
        report=f"{RESULTS}/splits/{{protocol}}.json",
    log:
        f"{RESULTS}/logs/split/{{protocol}}.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m mmran split {input.store:q} --spec {input.spec:q} --output {output.csv:q} > {log:q} 2>&1"
