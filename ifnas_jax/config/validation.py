"""Checks of a configuration, before anything is opened, compiled or written."""

from ml_collections import ConfigDict

from ifnas_jax import config as config_lib
from ifnas_jax.architecture import cost
from ifnas_jax.config.ranges import RANGES, check_choices, check_ranges
from ifnas_jax.errors import InputError
from ifnas_jax.methods import readers, removal, sampling, traits
from ifnas_jax.operators.names import check_operator
from ifnas_jax.spaces.graph import Space, check_cells


def validate(config: ConfigDict) -> None:
    """Checks all that can be checked without the data or a device.

    Raises:
      InputError: a field is out of range, or two of them contradict each other.
    """
    own = traits(config.method)
    check_choices(config)
    check_ranges(config)
    _check_seeds(config)
    if config.dataset.padding >= config.dataset.image_size:
        raise InputError(
            f"dataset.padding is {config.dataset.padding}, which may shift all of an "
            f"image of {config.dataset.image_size} pixels away; set it lower."
        )
    second = "darts" in own.reads and config.darts.order == 2
    if second and config.search.accumulate > 1:
        raise InputError(
            f"search.accumulate is {config.search.accumulate}, but the second order "
            "needs the whole batch at once; set it to 1, or darts.order to 1."
        )
    for operator in config.space.operators:
        try:
            check_operator(operator)
        except InputError as error:
            raise InputError(f"space.operators: {error}") from error
    space = config_lib.space(config)
    _check_sizes(config, space)
    if "search" in config.jobs:
        _check_derivation(config, space)
        _check_sampling(config, space)
    check_budget(config)
    _check_auxiliary(config, space)


def _check_seeds(config: ConfigDict) -> None:
    last, most = config.seed + config.seeds - 1, RANGES["seed"][1]
    if last > most:
        raise InputError(
            f"seeds is {config.seeds}, but the last seed would be {last}, over {most}; "
            "set seed lower."
        )
    if config.seeds == 1 and config.lanes != "auto":
        raise InputError(
            f"lanes is {config.lanes!r}, but seeds is 1; set it to 'auto', or seeds to "
            "2 or more."
        )


def check_overrides(config: ConfigDict, given: ConfigDict) -> None:
    """Refuses a field that is set for a method which does not read it.

    Args:
      config: with the fields that are set.
      given: of its file, without them. What a file sets is for any method.

    Raises:
      InputError: one differs, or the method is unknown.
    """
    ours, theirs = config_lib.flat(config), config_lib.flat(given)
    for field, value in ours.items():
        methods = readers(field, config.method)
        if config.method not in methods and value != theirs[field]:
            others = " or ".join(map(repr, methods))
            raise InputError(
                f"{field} is {value!r}, but method {config.method!r} does not read it; "
                f"set it to {theirs[field]!r}, or method to {others}."
            )


def _check_sizes(config: ConfigDict, space: Space) -> None:
    """Cells where there are cells, and widths that divide."""
    fields = config.macro
    for name in ("cells", "search_cells"):
        if fields[name] and not space.has_cells:
            raise InputError(
                f"macro.{name} is {fields[name]}, but space {space.name!r} has no "
                "cells; set it to 0."
            )
        if space.has_cells:
            check_cells(
                f"macro.{name}, a network of space {space.name!r},", fields[name]
            )
    if space.has_cells and not space.shared and fields.cells != fields.search_cells:
        raise InputError(
            f"macro.cells is {fields.cells}, but the {fields.search_cells} searched "
            f"cells of space {space.name!r} differ and can't be stacked again; set it "
            f"to macro.search_cells, {fields.search_cells}."
        )
    if space.has_cells and fields.search_width % 2:
        raise InputError(
            f"macro.search_width is {fields.search_width}, but the stem of cells "
            "halves it; set an even number."
        )
    parts = config.pcdarts.parts
    if "pcdarts" in traits(config.method).reads and fields.search_width % parts:
        raise InputError(
            f"pcdarts.parts is {parts}, which does not divide macro.search_width, "
            f"{fields.search_width}; set one to fit the other."
        )


def _check_derivation(config: ConfigDict, space: Space) -> None:
    """The method has the derivation, and the space too."""
    derive = config_lib.derivation(config)
    if space.inputs_kept and derive != f"keep{space.inputs_kept}":
        raise InputError(
            f"derive is {derive!r}, but nodes of space {space.name!r} keep exactly "
            f"{space.inputs_kept} inputs; set it to 'keep{space.inputs_kept}' or "
            "'auto'."
        )
    own = traits(config.method)
    if derive not in own.derivations:
        why = "removes nothing while searching"
        if derive == "target":
            why = "prunes to its target while searching"
        raise InputError(
            f"derive is {derive!r}, but method {config.method!r} {why}; set it to "
            f"one of {list(own.derivations)}."
        )
    if config.penalty.schedule == "adaptive" and own.regularized and derive != "prune":
        raise InputError(
            "penalty.schedule is 'adaptive', which answers to prunings, but derive is "
            f"{derive!r} and prunes nothing while searching; use 'paced' or 'linear'."
        )


def _check_sampling(config: ConfigDict, space: Space) -> None:
    """Only some methods sample; a control without sampling adds nothing to a group."""
    fields = config.sampling
    for name, default in (
        ("interleaved", 0),
        ("interleaved_learn", True),
        ("groups", "modulo"),
        ("loop_warmup", True),
        ("warmup_sampling", True),
    ):
        if fields[name] != default and not traits(config.method).samples:
            raise InputError(
                f"sampling.{name} is {fields[name]!r}, but method {config.method!r} "
                f"does not sample; set it to {default!r}, or method to 'ifnas'."
            )
    if fields.interleaved and fields.groups == "matched":
        raise InputError(
            f"sampling.interleaved is {fields.interleaved}, but with sampling.groups "
            "'matched' every connection is there already; set it to 0."
        )
    if not fields.interleaved and not fields.interleaved_learn:
        raise InputError(
            "sampling.interleaved_learn is False, but sampling.interleaved is 0, so "
            "that nothing is added; set it to True, or sampling.interleaved to more."
        )
    if fields.modulus > max(space.nodes):
        raise InputError(
            f"sampling.modulus is {fields.modulus}, but stages have at most "
            f"{max(space.nodes)} nodes, so that groups are empty; set it from 0 to "
            f"{max(space.nodes)}."
        )
    groups = sampling.groups(config, space)
    sizes = [len(group) for stage in groups for group in stage]
    if fields.groups in ("random", "adjacent") and (
        max(sizes) < 2 or len(groups[0]) < 2
    ):
        raise InputError(
            f"sampling.groups is {fields.groups!r}, but in this space a group is one "
            "node or all of them, so that they are the same; set it to 'modulo'."
        )
    if fields.interleaved and not any(
        any(sampling.additions(config, space, groups, index))
        for index in range(len(groups[0]))
    ):
        raise InputError(
            f"sampling.interleaved is {fields.interleaved}, but this space has no "
            "connection that interleaves with a group; set it to 0."
        )


def _check_auxiliary(config: ConfigDict, space: Space) -> None:
    """The auxiliary head takes what it will be given."""
    cells = space.has_cells
    size = config.dataset.image_size // cost.STEM_STRIDES[config.macro.stem]
    size //= 4 if cells else 2
    least, most = (7, 8) if cells else (13, 16)
    where = "after the second reduction" if cells else "in stage 2"
    used = "retrain" in config.jobs and config.retrain.auxiliary_weight
    if used and not least <= size <= most:
        raise InputError(
            f"retrain.auxiliary_weight is {config.retrain.auxiliary_weight}, but "
            f"images are {size} pixels wide {where} and the auxiliary head takes "
            f"{least} to {most}; set it to 0, or change dataset.image_size."
        )


def check_budget(config: ConfigDict) -> None:
    """The target lies between the cheapest network and the whole super-network.

    Checked with `validate`, and again when the data has told how many classes it has.

    Raises:
      InputError: it does not, or an operator of one's own can't be used.
    """
    known = config.copy_and_resolve_references()
    # Until the data set is opened, the smallest classifier stands in for its own.
    known.dataset.num_classes = max(1, config.dataset.num_classes)
    space, sizes = config_lib.space(config), config_lib.macro(known)
    _check_own_operators(space, config_lib.search_macro(known), config)
    target = config.target_madds
    least = removal.least_madds(space, sizes)
    full = cost.network_cost(space, sizes, space.full()).madds
    has_target = config_lib.derivation(config) in ("prune", "target")
    if "search" in config.jobs and has_target and not least < target < full:
        raise InputError(
            f"target_madds is {target:,}, but the cheapest network of the space has "
            f"{least:,} and the whole super-network has {full:,} at width "
            f"{sizes.width}; set a target between them."
        )


def _check_own_operators(space: Space, sizes: cost.Macro, config: ConfigDict) -> None:
    """Those of one's own can be used where the search has them.

    Where the derived network does, its price tells.
    """
    reads = traits(config.method).reads
    parts = config.pcdarts.parts if "pcdarts" in reads else 1
    for stage, level in space.positions(sizes.cells):
        width = sizes.widths[level] // parts
        for name in space.operators:
            for stride in {1, space.stages[stage].stride}:
                cost.operator_cost(name, sizes.sizes[level], width, stride)
