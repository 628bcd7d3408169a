"""What a trained network is written as, to be used elsewhere."""
