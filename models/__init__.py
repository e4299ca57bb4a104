"""Models that hear, think and speak, and what they need of the machine."""

import os

# ONNX Runtime of 1.29 and newer would tell Microsoft, under a number of this machine's, which models run how
# often. It reads this when it is loaded: microsoft/onnxruntime, docs/Privacy.md.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
