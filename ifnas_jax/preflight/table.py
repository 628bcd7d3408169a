"""What a preflight found, in a table for people."""

from typing import Any


def size(count: int) -> str:
    """Bytes in words: as 512 B, 4.8 MiB or 1.56 GiB."""
    if count < 2**20:
        return f"{count} B"
    if count < 2**30:
        return f"{count / 2**20:.1f} MiB"
    return f"{count / 2**30:.2f} GiB"


_MEMORY = {
    "arguments": "state, masks and one batch",
    "outputs": "results that are not put back in the state's place",
    "temporaries": "what the step needs while it runs",
    "code": "the program",
    "waiting": "batches that are sent ahead",
}


def table(facts: dict[str, Any]) -> str:
    """What `preflight` returns, for people."""
    batch, memory, kind = facts["batch"], facts["memory"], facts["kind"]
    rows = [
        ("step", f"{facts['job']} of {facts['config']}, {facts['dtype']}"),
        (
            "devices",
            f"{facts['devices']} × {kind} ({facts['topology']}), "
            f"processes: {facts['processes']}",
        ),
        ("batch", f"{batch['device']} images a device, {batch['global']} over all"),
        ("compiled in", f"{facts['compile_seconds']} s"),
    ]
    if facts["architecture"]:
        rows.insert(1, ("architecture", facts["architecture"]))
    for name, text in _MEMORY.items():
        if name in memory:
            rows.append((f"  {name}", f"{size(memory[name]):>10}  {text}"))
    if facts["refusal"]:
        rows.append(("does not fit", facts["refusal"]))
    else:
        share = f"{size(memory['needed'])} of {size(memory['available'])} a device"
        rows.append(("fits" if facts["fits"] else "does not fit", share))
        for entry in facts["collectives"]:
            sent = f"{entry['count']} of {size(entry['bytes'])} in all"
            rows.append((entry["kind"], sent))
        rows.append(("gradients", size(facts["params_bytes"])))
    if "largest_batch" in facts:
        found = facts["largest_batch"]
        text = f"{found['device']} images a device, {found['global']} over all"
        rows.append(("largest batch", f"{text} ({found['compilations']} compilations)"))
    return "\n".join(f"{name:14} {text}" for name, text in rows)
