"""Ray Serve: batching, a replica for each CPU."""

import os

import cnn
import numpy as np
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=int(os.environ["BENCH_WORKERS"]), max_ongoing_requests=256)
class Cnn:
    def __init__(self):
        self.loaded = cnn.session()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def many(self, rows):
        return list(cnn.run(self.loaded, np.stack(rows)))

    async def __call__(self, request: Request):
        body = await request.json()
        output = await self.many(np.array(body["instances"], np.float32)[0])
        return {"predictions": [output.tolist()]}


app = Cnn.bind()
