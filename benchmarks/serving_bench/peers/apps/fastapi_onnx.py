"""FastAPI + ONNX Runtime: a typed body, a plain function in the pool of threads, no batching."""

import cnn
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
loaded = cnn.session()


class Body(BaseModel):
    instances: list[list[list[list[float]]]]


@app.post("/predict")
def predict(body: Body):
    return {"predictions": cnn.run(loaded, np.array(body.instances, np.float32)).tolist()}
