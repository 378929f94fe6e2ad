"""MLServer: its adaptive batching around a model of its Python interface, a worker for each CPU."""

import cnn
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Cnn(MLModel):
    async def load(self) -> bool:
        self.loaded = cnn.session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("y", cnn.run(self.loaded, rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
