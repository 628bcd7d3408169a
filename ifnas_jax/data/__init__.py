"""Images: found or prepared, split into parts, augmented, batched. TFDS and Grain.

Knows the fields of `config.dataset`; no space, no network, no job.
"""
