"""Image classification sets: prepared by TFDS, read through Grain."""
