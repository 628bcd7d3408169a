"""The super-network as a plain Python loop over the graph: the oracle of its tests."""

import jax
import jax.numpy as jnp

from ifnas_jax.nn.supernet import batch_apply


def _edge_params(net, params, index, src, dst, name):
    """The parameters of one pair at one position, and its stride."""
    graph = net.space.stages[net.positions[index].stage]
    if src <= 0 and graph.stride == 2:
        stacked, pair = params["strided"][index][name], (dst - 1, src - graph.first)
    else:
        stacked, pair = params["stages"][index][name], (dst - 1, dst - src - 1)
    stride = graph.stride if src <= 0 else 1
    return jax.tree.map(lambda array: array[pair], stacked), stride


def loop_over_the_graph(net, params, weights, active, images):
    """What `Supernet.apply` means, without loops on the device or its gradients."""
    parts = net.parts()
    made = list(batch_apply(parts.stem, params["stem"], images))
    for index, (s, level) in enumerate(net.positions):
        graph, count = net.space.stages[s], net.space.stages[s].num_inputs
        inputs = batch_apply(parts.inputs[index], params["inputs"][index], *made)
        outputs = dict(zip(range(1 - count, 1), inputs, strict=True))
        size, width = net.macro.sizes[level], net.macro.widths[level]
        for dst in range(1, graph.num_nodes + 1):
            outputs[dst] = jnp.zeros((len(images), size, size, width))
            for src in graph.precursors(dst):
                for o, name in enumerate(net.space.operators):
                    pair = dst - 1, dst - src - 1, o
                    weight = jnp.where(active[s][pair], weights[s][pair], 0.0)
                    edge, stride = _edge_params(net, params, index, src, dst, name)
                    operator = net.operator(name, level, stride)
                    y = batch_apply(operator, edge, outputs[src])
                    outputs[dst] += weight * y
        nodes = [outputs[node] for node in graph.outputs()]
        made = [*made, jnp.concatenate(nodes, axis=-1)][-count:]
    return batch_apply(parts.classifier, params["classifier"], made[-1])
