# Summaries -> tables, cases and predictions -> figures, one set under each protocol


from mmran.report.escape import rst


# Seconds each: on a cluster they run where Snakemake does.
localrules:
    networks,
    table,
    figure,
    overview,


rule networks:
    output:
        sizes=f"{RESULTS}/networks/{{table}}.json",
        record=f"{RESULTS}/records/networks/{{table}}.json",
    log:
        f"{RESULTS}/logs/networks/{{table}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/networks/{{table}}.json",
        specs=lambda wildcards: expand(
            f"{RESULTS}/specs/experiments/{{experiment}}.json",
            experiment=CONFIG.trained_for(wildcards.table),
        ),
    shell:
        logged(
            "python -m mmran --job {params.job:q} networks --spec {params.specs:q} --json --output {output.sizes:q}"
        )


rule table:
    input:
        **read_by(
            "table/{protocol}/{table}",
            results=table_inputs,
        ),
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
        record=f"{RESULTS}/records/table/{{protocol}}/{{table}}.json",
    log:
        f"{RESULTS}/logs/table/{{protocol}}-{{table}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/table/{{protocol}}/{{table}}.json",
        spec=f"{RESULTS}/specs/tables/{{table}}.json",
        results=lambda wildcards: RESULTS,
        protocol=lambda wildcards: wildcards.protocol,
    shell:
        logged(
            "python -m mmran --job {params.job:q} table --spec {params.spec:q} --results {params.results:q}"
            " --protocol {params.protocol:q} --output {output.csv:q}"
        )


rule figure:
    input:
        **read_by(
            "figure/{protocol}/{figure}",
            cases=figure_inputs(rules.evaluate.output.cases),
            summaries=figure_inputs(rules.evaluate.output.summary),
            predictions=figure_inputs(rules.predict.output.predictions),
            runs=figure_inputs(rules.train.output.runs),
            history=figure_inputs(rules.train.output.history),
            store=rules.convert.output.store,
            index=rules.convert.output.index,
        ),
    output:
        svg=report(
            f"{RESULTS}/figures/{{protocol}}/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{protocol}",
            labels={"figure": "{figure}"},
        ),
        png=f"{RESULTS}/figures/{{protocol}}/{{figure}}.png",
        pdf=f"{RESULTS}/figures/{{protocol}}/{{figure}}.pdf",
        caption=f"{RESULTS}/figures/{{protocol}}/{{figure}}.txt",
        record=f"{RESULTS}/records/figure/{{protocol}}/{{figure}}.json",
    log:
        f"{RESULTS}/logs/figure/{{protocol}}-{{figure}}.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/figure/{{protocol}}/{{figure}}.json",
        spec=f"{RESULTS}/specs/figures/{{figure}}.json",
        results=lambda wildcards: RESULTS,
        protocol=lambda wildcards: wildcards.protocol,
        title=lambda wildcards: rst(CONFIG.figure(wildcards.figure).title),
    shell:
        logged(
            "python -m mmran --job {params.job:q} figure --spec {params.spec:q} --results {params.results:q}"
            " --protocol {params.protocol:q} --store {input.store:q} --output {output.svg:q}"
        )


rule overview:
    input:
        **read_by(
            "overview",
            audit=rules.verify.output.audit,
            tables=RUN.shown("tables/{protocol}/{name}", CONFIG.tables, ["html"]),
            figures=RUN.shown("figures/{protocol}/{name}", CONFIG.figures, ["png"]),
            statistics=RUN.shown(
                "tables/{protocol}/{name}",
                EVIDENCE if CONFIG.comparison.rows else [],
                ["html"],
            ),
        ),
    output:
        html=report(
            f"{RESULTS}/overview.html",
            caption="../report/overview.rst",
            # The first of the categories, which the report sorts.
            category="Begin here",
            labels={"what": "overview"},
        ),
        md=f"{RESULTS}/overview.md",
        rst=f"{RESULTS}/overview.rst",
        record=f"{RESULTS}/records/overview.json",
    log:
        f"{RESULTS}/logs/overview.log",
    conda:
        "../../envs/mmran.yaml"
    params:
        job=f"{RESULTS}/specs/jobs/overview.json",
        results=lambda wildcards: RESULTS,
    shell:
        logged("python -m mmran --job {params.job:q} overview {params.results:q}")
