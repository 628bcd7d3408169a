"""Every field with its default.

`configs/*.py` start from `default(dataset)` and set what makes their space; a flag
such as `--config.search.batch_size=64` changes any field. What data sets change is in
`presets.py`, what follows from other fields in `derived.py`.
"""

from ml_collections import ConfigDict

from ifnas_jax.config import presets


def default(dataset: str) -> ConfigDict:
    """The configuration of the paper for ImageNet, adapted to a data set.

    Args:
      dataset: "imagenet2012", "imagenet100", "cifar10", "fashion_mnist", "mnist5k",
        "folder" (images in `data_dir`), or the TFDS name of any other image
        classification set.
    """
    config = ConfigDict()
    config.seed = 0  # of everything random: parameters, data order, augmentation
    # Searches with seed, seed + 1, ...: as one program, each with its own seed-N/ in
    # the workdir, and retrained. May be raised later.
    config.seeds = 1
    # How the program takes its seeds: together, or in_turn, one after the other. auto:
    # together on accelerators, in_turn on CPUs and where a run has several processes.
    config.lanes = "auto"
    config.jobs = (
        "search",
        "retrain",
    )  # a job that is done is not repeated
    # ifnas, dnas (the same without the sampling), goldnas, darts, pcdarts, fairdarts,
    # random, randomws (random search with weight sharing).
    config.method = "ifnas"
    # Filled in: a checksum of the network that --architecture names.
    config.given = ""
    # prune: remove gates that close until target_madds is met, while searching.
    # target: search without removing, then remove the weakest until it is met.
    # keep1: search without removing (goldnas: until one edge a node is left), then
    # keep each node's strongest edge. keep2: two, with the strongest operator of each.
    # auto: the method's own in the space, prune or target, and keep2 in that of DARTS.
    config.derive = "auto"
    config.target_madds = 600_000_000  # budget at the target width, for one image
    # Of the computation; auto: bfloat16 on TPUs and on GPUs that have it, else float32.
    config.dtype = "auto"

    config.space = _space()
    config.macro = _macro()
    config.dataset = _dataset(dataset)
    config.sampling = _sampling()
    config.relaxation = _relaxation()
    config.search = _search()
    config.penalty = _penalty()
    for name, group in _of_one_method().items():
        config[name] = group
    config.retrain = _retrain()

    config.log_every = 100  # iterations between lines of retraining's metrics
    config.tensorboard = True  # write the metrics as TensorBoard events too
    presets.for_dataset(config, dataset)
    return config.lock()


def _space() -> ConfigDict:
    """The search space."""
    space = ConfigDict()
    space.name = "lchain"  # "darts" and "goldnas" are spaces of cells
    space.num_precursors = 4  # L: how many precursors a node may read
    space.nodes = (18, 20, 18)  # searched nodes of each stage; (4,): of every cell
    space.operators = ("sep_conv_3x3", "skip_connect")  # candidates of every edge
    return space


def _macro() -> ConfigDict:
    """The sizes of networks."""
    macro = ConfigDict()
    macro.width = 64  # C of the derived network; MAdds are counted at it
    macro.search_width = 16  # C of the super-network
    macro.stem = "imagenet"  # three halvings; "small" has none
    macro.cells = 0  # of the derived network, in a space of cells
    macro.search_cells = 0  # of the super-network
    return macro


def _sampling() -> ConfigDict:
    """Which part of the super-network each step trains."""
    sampling = ConfigDict()
    sampling.period = 100  # iterations of one sampling step
    # modulo: groups by node number. random: of the same sizes, drawn at random, so that
    # some interleave; adjacent: of nodes in a row, so that they do.
    # matched: no sampling, but gates move as often as under it.
    sampling.groups = "modulo"
    sampling.modulus = 0  # of node numbers; 0: L, or the nodes of a cell
    sampling.interleaved = 0  # connections that interleave, added on purpose per node
    sampling.interleaved_learn = True  # the gates that they end in move with the group
    sampling.loop_warmup = True  # begin each loop with a step on the whole network
    sampling.warmup_sampling = True  # sample in the ω-only epochs too
    return sampling


def _relaxation() -> ConfigDict:
    """How logits become weights."""
    relaxation = ConfigDict()
    relaxation.node_scale = "unit"  # a node's inputs weigh 1 in all; or "official"
    # How the operators of a backbone edge weigh outside the group: constant, all the
    # same; gates, as their gates say, which stand still there.
    relaxation.backbone = "constant"
    relaxation.init_scale = 1e-5  # standard deviation of the first logits
    return relaxation


def _of_one_method() -> dict[str, ConfigDict]:
    """Groups that some methods read; `methods.METHODS` says which."""
    goldnas = ConfigDict()
    goldnas.delta = 0.01  # first increment of λ; doubles while too little is pruned
    goldnas.share = 0.01  # operators with a smaller share of their node's sum go
    goldnas.weakest = 4  # n0: how many more may go, and how many make λ halve
    goldnas.weak_share = 0.05  # if their share is smaller than this

    bilevel = ConfigDict()  # Adam of darts, pcdarts and fairdarts
    bilevel.learning_rate = 3e-4  # of the architecture, constant
    bilevel.b1 = 0.5  # decay of the first moment
    bilevel.b2 = 0.999  # decay of the second moment
    bilevel.weight_decay = 1e-3  # of the architecture

    darts = ConfigDict()
    darts.order = 1  # 2: through one virtual step of the weights

    pcdarts = ConfigDict()
    pcdarts.parts = 4  # K: 1/K of the channels go through the operators

    random = ConfigDict()
    random.band = 0.97  # least share of target_madds of a drawn architecture
    random.candidates = 100  # that randomws ranks
    return {
        "goldnas": goldnas,
        "bilevel": bilevel,
        "darts": darts,
        "pcdarts": pcdarts,
        "random": random,
    }


def _dataset(dataset: str) -> ConfigDict:
    """The data set, its images and their augmentation: ImageNet's."""
    data = ConfigDict()
    data.name = dataset  # a TFDS name
    data.data_dir = ""  # where TFDS keeps prepared sets; empty: its default
    data.image_size = 224  # height and width in pixels
    data.channels = 3  # of the images as the network sees them
    data.num_classes = 1000  # 0: what the data set says
    data.valid_fraction = 0.02  # of the training split, for the search's own accuracy
    data.classes = ()  # their TFDS names; empty: all, or those that subset_seed draws
    data.subset_seed = 0  # draws the 100 classes of imagenet100
    data.contents = ""  # filled in: its version and files; a run takes no other
    data.labels = ()  # filled in: the name of each label
    data.test_split = ""  # filled in: the first of test, validation, val with labels
    data.on_unreadable = "stop"  # at an image that can't be decoded; "skip": count it
    data.crop = "resized"  # random resized crop; "pad": pad and crop
    data.padding = 0  # pixels on each side, for crop = "pad"
    data.flip = True  # mirror half of the training images
    data.jitter = (0.4, 0.4, 0.4, 0.2)  # brightness, contrast, saturation, hue
    data.mean = (0.485, 0.456, 0.406)  # a channel, of values in [0, 1]
    data.std = (0.229, 0.224, 0.225)  # a channel
    return data


def _search() -> ConfigDict:
    """The training of the super-network."""
    search = ConfigDict()
    search.batch_size = 256  # over all devices
    search.accumulate = 1  # parts of a device's batch, one after the other in memory
    # loops: over the active pairs, one by one, as long as there are some. nodes: all
    # inputs of a node as one operator, where launches cost more than arithmetic. auto:
    # nodes on GPUs, and on TPUs where seeds run together; else loops (docs/cost.md).
    search.skipping = "auto"
    search.weights_epochs = 20.0  # ω only
    search.beta_epochs = 10.0  # then ω and β
    search.alpha_epochs = 5.0  # then α too; after that regulariser and pruning
    search.max_epochs = 100.0  # in all, if the target is not met before
    search.learning_rate = 0.1  # of ω; decays linearly to 0 over max_epochs
    search.momentum = 0.9  # of ω
    search.weight_decay = 3e-5  # of ω
    search.clip = 5.0  # largest global norm of ω's gradient; 0: any
    search.arch_learning_rate = 0.1  # of β and α, constant
    search.arch_momentum = 0.9  # of β and α
    search.arch_weight_decay = 3e-5  # of β and α
    search.threshold = 0.01  # gates below it are pruned
    # The share of the edges that are left which one pruning may remove; 1: any.
    search.most_removed = 0.15
    search.valid_every = 1  # loops between evaluations on the validation part; 0: never
    search.checkpoint_every = 1  # loops between checkpoints
    return search


def _penalty() -> ConfigDict:
    """The regulariser of IF-NAS, and when it grows."""
    penalty = ConfigDict()
    # paced: μ grows by delta after a loop in which MAdds fell too slowly to meet the
    # target in prune_epochs, and halves after one in which they did not.
    # adaptive: GOLD-NAS' rule, once a loop. linear: E/2400 and E/1800, E epochs in.
    penalty.schedule = "paced"
    penalty.delta = 0.02  # paced: increment of μ; adaptive: the first one
    penalty.prune_epochs = 40.0  # paced: epochs from the regulariser to the target
    penalty.min_removed = 4  # adaptive: μ grows after a loop that removed fewer pairs
    penalty.edges = 1.0  # multiplies μ1, the strength on edges
    penalty.operators = 1.0  # multiplies μ2, the strength on operators
    return penalty


def _retrain() -> ConfigDict:
    """The training of the derived network from scratch."""
    retrain = ConfigDict()
    retrain.batch_size = 1024  # over all devices
    retrain.accumulate = 1  # parts of a device's batch, one after the other in memory
    retrain.epochs = 250
    # The workdir of a run whose trained network this one starts from, if shapes fit;
    # empty: from scratch.
    retrain.weights = ""
    retrain.learning_rate = 0.5  # its highest value
    retrain.warmup_epochs = 5  # of linear warm-up
    retrain.final_epochs = 5  # of a slower decay at the end
    retrain.momentum = 0.9  # of SGD
    retrain.weight_decay = 3e-5  # of all parameters
    retrain.clip = 5.0  # largest global norm of the gradient; 0: any
    retrain.label_smoothing = 0.1  # share of the target spread over all classes
    retrain.auxiliary_weight = 0.4  # of the auxiliary head's loss; 0: no such head
    retrain.sync_bn = False  # batch statistics over all devices instead of each one's
    retrain.test_every = 10  # epochs between evaluations; the last epoch always has one
    retrain.checkpoint_every = 1  # epochs between checkpoints
    return retrain
