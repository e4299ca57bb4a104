import models  # noqa: F401 - before Pipecat, which loads ONNX Runtime
