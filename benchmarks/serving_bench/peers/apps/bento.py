"""BentoML: adaptive batching, a worker for each CPU."""

import bentoml
import cnn
import numpy as np


@bentoml.service(workers="cpu_count", traffic={"timeout": 60})
class Cnn:
    def __init__(self) -> None:
        self.loaded = cnn.session()

    @bentoml.api(batchable=True, max_batch_size=64)
    def predict(self, instances: np.ndarray) -> np.ndarray:
        return cnn.run(self.loaded, instances)
