"""FastAPI + Keras as tutorials have it: the model called in the route."""

import os

import keras
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = keras.models.load_model(os.environ["BENCH_KERAS"])


class Body(BaseModel):
    instances: list[list[list[list[float]]]]


@app.post("/predict")
def predict(body: Body):
    return {"predictions": np.asarray(model(np.array(body.instances, np.float32))).tolist()}
