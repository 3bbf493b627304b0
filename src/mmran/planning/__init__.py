"""What a configuration costs, before anything runs: trainings, hours, memory, disk, and the date it would finish."""
