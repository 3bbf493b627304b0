# Summaries -> the paper's tables, its values beside ours; those of the first protocol stand in tables/


def parts(wildcards):
    """What a table is made of: the summary of every experiment it shows, or what their networks cost."""
    if CONFIG.table(wildcards.table)["kind"] == "parameters":
        return f"{RESULTS}/networks/{wildcards.table}.json"
    protocol = wildcards.get("protocol", CONFIG.protocols[0])
    return expand(rules.evaluate.output.summary, experiment=CONFIG.trained_for(wildcards.table), protocol=protocol)


rule networks:
    input:
        lambda wildcards: expand(
            f"{RESULTS}/specs/experiments/{{experiment}}.json", experiment=CONFIG.trained_for(wildcards.table)
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
        code=f"{RESULTS}/specs/stages/report.json",
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
        results=RESULTS,
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
        results=RESULTS,
        protocol=lambda wildcards: wildcards.protocol,
