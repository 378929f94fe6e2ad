"""LitServe: batching, a worker for each CPU."""

import os
import sys

import cnn
import litserve
import numpy as np


class Cnn(litserve.LitAPI):
    def setup(self, device):
        self.loaded = cnn.session()

    def decode_request(self, request):
        return np.array(request["instances"], np.float32)[0]

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, rows):
        return cnn.run(self.loaded, rows)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"predictions": [output.tolist()]}


if __name__ == "__main__":
    api = Cnn(max_batch_size=32, batch_timeout=0.005)
    workers = int(os.environ["BENCH_WORKERS"])
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(
        port=int(sys.argv[1]), host="127.0.0.1", num_api_servers=workers, generate_client_file=False, log_level="error"
    )
