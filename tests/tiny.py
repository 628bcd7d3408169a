"""A run of seconds."""

TARGET = 470_000  # multiply-adds
# A search of 3 precursors and 5 nodes that prunes several times in 150 steps, and a
# retraining of 60; the digits are real, a quarter of the embedded ones.
TINY = {
    "space.num_precursors": 3,
    "space.nodes": (1, 3, 1),
    "macro.width": 4,
    "macro.search_width": 4,
    "target_madds": TARGET,
    "sampling.period": 2,
    "search.batch_size": 16,
    "search.weights_epochs": 0.24,
    "search.beta_epochs": 0.12,
    "search.alpha_epochs": 0.12,
    "search.max_epochs": 4.0,
    "search.arch_learning_rate": 0.5,
    "search.valid_every": 4,
    "search.checkpoint_every": 1,
    "penalty.delta": 0.5,
    "penalty.prune_epochs": 1.2,
    "retrain.batch_size": 50,
    "retrain.epochs": 3,
    "retrain.test_every": 2,
    "retrain.checkpoint_every": 2,
    "log_every": 5,
    # TensorFlow takes ten seconds to import.
    "tensorboard": False,
}
