"""The model as every peer computes it: ONNX Runtime on one thread, so that worker processes share the CPUs as ours do."""

import os

import numpy as np
import onnxruntime


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(os.environ["BENCH_ONNX"], options, providers=["CPUExecutionProvider"])


def run(loaded, rows):
    return loaded.run(None, {"x": np.ascontiguousarray(rows, np.float32)})[0]
