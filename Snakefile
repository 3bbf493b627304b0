# What `snakemake` finds: everything stands in workflow/.
include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        rules.paper.input,
