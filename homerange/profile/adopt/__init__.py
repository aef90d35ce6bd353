"""The verb ``adopt``: any image classifier in ONNX becomes a world, without torch."""
