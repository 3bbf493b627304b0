# What `snakemake` finds; the pipeline is in workflow/.
include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        rules.paper.input,
