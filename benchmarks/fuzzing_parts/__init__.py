"""Parts of benchmarks/fuzzing.py; CI runs them with smaller counts (tests/serving/fuzz)."""
