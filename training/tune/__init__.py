"""Searching hyperparameters: Optuna suggests and judges; the runs themselves are started by skylift, like any other."""
