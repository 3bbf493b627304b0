"""What the Snakefile imports: the start of a run, conda, Slurm. The only package that knows them."""
