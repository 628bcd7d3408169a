"""IF-NAS: interleaving-free neural architecture search in JAX and Flax."""
