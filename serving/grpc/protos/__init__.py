"""The messages of gRPC: `.proto` files of ours, wire-compatible with the published ones, and what is compiled from them.

TensorFlow is not needed for them, and may be in the same process: they live in a pool of their own (see `pool`).
"""
