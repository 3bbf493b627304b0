# Summaries -> tables, cases and predictions -> figures; those of the first protocol stand in tables/ and figures/


# Seconds each: on a cluster they run where Snakemake does.
localrules:
    networks,
    table,
    table_under,
    figure,
    figure_under,


rule networks:
    input:
        lambda wildcards: expand(
            f"{RESULTS}/specs/experiments/{{experiment}}.json",
            experiment=CONFIG.trained_for(wildcards.table),
        ),
    output:
        f"{RESULTS}/networks/{{table}}.json",
    log:
        f"{RESULTS}/logs/networks/{{table}}.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m mmran networks --spec {input:q} --json --output {output:q} > {log:q} 2>&1"


rule table:
    input:
        parts=parts,
        spec=f"{RESULTS}/specs/tables/{{table}}.json",
        code=f"{RESULTS}/specs/stages/table.json",
    output:
        csv=f"{RESULTS}/tables/{{table}}.csv",
        md=f"{RESULTS}/tables/{{table}}.md",
        tex=f"{RESULTS}/tables/{{table}}.tex",
        html=report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../report/table.rst",
            category="Tables",
            subcategory=CONFIG.protocols[0],
            labels={"table": "{table}"},
        ),
    log:
        f"{RESULTS}/logs/table/{CONFIG.protocols[0]}-{{table}}.log",
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards, input: Path(input.spec).parents[2],
        protocol=CONFIG.protocols[0],
    shell:
        "python -m mmran table --spec {input.spec:q} --results {params.results:q} --protocol {params.protocol:q}"
        " --output {output.csv:q} > {log:q} 2>&1"


use rule table as table_under with:
    output:
        csv=f"{RESULTS}/tables/{{protocol}}/{{table}}.csv",
        md=f"{RESULTS}/tables/{{protocol}}/{{table}}.md",
        tex=f"{RESULTS}/tables/{{protocol}}/{{table}}.tex",
        html=report(
            f"{RESULTS}/tables/{{protocol}}/{{table}}.html",
            caption="../report/table.rst",
            category="Tables",
            subcategory="{protocol}",
            labels={"table": "{table}"},
        ),
    log:
        f"{RESULTS}/logs/table/{{protocol}}-{{table}}.log",
    params:
        results=lambda wildcards, input: Path(input.spec).parents[2],
        protocol=lambda wildcards: wildcards.protocol,


rule figure:
    input:
        cases=measured(rules.evaluate.output.cases),
        summaries=measured(rules.evaluate.output.summary),
        predictions=measured(rules.predict.output.predictions),
        store=rules.convert.output.store,
        index=rules.convert.output.index,
        spec=f"{RESULTS}/specs/figures/{{figure}}.json",
        code=f"{RESULTS}/specs/stages/figure.json",
    output:
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            subcategory=CONFIG.protocols[0],
            labels={"figure": "{figure}"},
        ),
        png=f"{RESULTS}/figures/{{figure}}.png",
        caption=f"{RESULTS}/figures/{{figure}}.txt",
    log:
        f"{RESULTS}/logs/figure/{CONFIG.protocols[0]}-{{figure}}.log",
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards, input: Path(input.spec).parents[2],
        protocol=CONFIG.protocols[0],
        title=lambda wildcards: CONFIG.figure(wildcards.figure).title,
    shell:
        "python -m mmran figure --spec {input.spec:q} --results {params.results:q} --protocol {params.protocol:q}"
        " --store {input.store:q} --output {output.svg:q} > {log:q} 2>&1"


use rule figure as figure_under with:
    output:
        svg=report(
            f"{RESULTS}/figures/{{protocol}}/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{protocol}",
            labels={"figure": "{figure}"},
        ),
        png=f"{RESULTS}/figures/{{protocol}}/{{figure}}.png",
        caption=f"{RESULTS}/figures/{{protocol}}/{{figure}}.txt",
    log:
        f"{RESULTS}/logs/figure/{{protocol}}-{{figure}}.log",
    params:
        results=lambda wildcards, input: Path(input.spec).parents[2],
        protocol=lambda wildcards: wildcards.protocol,
        title=lambda wildcards: CONFIG.figure(wildcards.figure).title,
