"""Images: found or prepared, split into parts, augmented, batched. TFDS and Grain.

Knows the fields of `config.dataset`; no space, no network, no job.
"""

import os

# TensorFlow, which only prepares data and writes events here, would note in the middle
# of progress what it was built with. Its warnings stay.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
