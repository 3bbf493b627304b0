"""What a configuration will cost before anything runs: trainings, hours, memory, disk, and when it would be done."""
