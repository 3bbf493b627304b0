"""What the Snakefile imports. The only package that knows Snakemake, conda, and Slurm."""
