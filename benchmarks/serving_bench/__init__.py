"""The parts of benchmarks/serving.py: models, servers, load generators, measurements, and what is made of them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that `python -m benchmarks.serving_bench…` is started in."""
