"""An EC2 for tests: moto's server behind what it lacks, and hosts that boot."""
