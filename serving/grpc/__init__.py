"""gRPC: TensorFlow Serving's services, Open Inference Protocol v2, health and reflection."""
