"""What tests, the demo and the benchmarks use to act as a user does."""
