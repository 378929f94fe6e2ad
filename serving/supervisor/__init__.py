"""Owns the socket and the workers, follows the pointer, reports. Light: imports no numpy, ONNX Runtime or TensorFlow."""
