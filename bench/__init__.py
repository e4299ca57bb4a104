"""`offhook bench`: how fast and how politely the agent takes its turns, measured at the packets."""

import models  # noqa: F401 - before Pipecat, which loads ONNX Runtime
