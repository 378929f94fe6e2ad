"""KServe's SDK: a worker for each CPU; batching is a program beside it, in Kubernetes only."""

import functools
import os
import sys

import cnn
import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from kserve.utils.utils import generate_uuid


class Cnn(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    @functools.cached_property
    def loaded(self):  # by the first request: the model is pickled for the worker processes, a session cannot be
        return cnn.session()

    def predict(self, payload, headers=None, response_headers=None):
        if not isinstance(payload, InferRequest):
            return {"predictions": cnn.run(self.loaded, np.array(payload["instances"], np.float32)).tolist()}
        result = cnn.run(self.loaded, payload.inputs[0].as_numpy())
        output = InferOutput("y", list(result.shape), "FP32")
        output.set_data_from_numpy(result, binary_data=True)
        return InferResponse(payload.id or generate_uuid(), self.name, [output])


if __name__ == "__main__":
    server = kserve.ModelServer(
        http_port=int(sys.argv[1]), workers=int(os.environ["BENCH_WORKERS"]), enable_grpc=False, access_log_format=None
    )
    server.start([Cnn("cnn")])
