from ifnas_jax.architecture import cost
from ifnas_jax.report import tables
from ifnas_jax.spaces import interleaving, lchain

MACRO = cost.Macro(64, 1000, 224, 3, "imagenet")


def describe(space, modulus, interleaved=0):
    groups = [interleaving.sampling_groups(s, modulus) for s in space.stages]
    added = [
        [
            interleaving.added_connections(s, own[index], interleaved, seed=[0])
            for s, own in zip(space.stages, groups, strict=True)
        ]
        for index in range(modulus)
    ]
    return tables.describe_space(space, MACRO, groups, added)


def test_facts_of_the_papers_space():
    facts = describe(lchain(4), modulus=4)
    assert facts["edges"] == 206
    assert round(facts["log10_size_paper"], 3) == 116.245
    assert facts["supernet_madds"] == 1_566_251_776
    assert (facts["chain_madds"], facts["chain_params"]) == (524_296_960, 4_747_624)
    assert facts["groups"][1][3] == [3, 7, 11, 15, 19]
    assert facts["interleaved_pairs"] == [0, 0, 0, 0]


def test_interleaved_pairs_of_a_group():
    space = lchain(3, (4, 1, 1))
    # Modulus 2, λ = 0: node 2 may read 0; node 4 may read 1 and 2 besides 3.
    # (0, 2) and (1, 4) share the gap 1-2; λ = 1: node 3's (0, 3), (1, 3) compete.
    facts = describe(space, modulus=2)
    assert facts["interleaved_pairs"] == [1, 0]
    # Each of the group's nodes brings one that interleaves with it.
    facts = describe(space, modulus=3, interleaved=1)
    assert facts["groups"][0] == [[3], [1, 4], [2]]
    assert facts["interleaved_pairs"][0] > 0
