"""What others read: PyTorch, ONNX, StableHLO, each of a derived network.

Knows architectures and networks; no run and no workdir.
"""
