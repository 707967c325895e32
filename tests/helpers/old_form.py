"""Checkpoints as they were before tasks named their optimisers and modules by what they are."""

OPTIMIZERS = {
    "adamw": "optimizer",
    "rmsprop": "optimizer",
    "muon": "muon",
    "generator": "player_optimizer",
    "autoencoder": "player_optimizer",
    "discriminator": "discriminator_optimizer",
}
MODULES = {"generator": "player", "autoencoder": "player", "discriminator": "discriminator"}


def to_old_form(content: dict) -> dict:
    """Rewrites the content of a last.pt into the old form, of one process or of several.

    There, optimisers and modules stood side by side; so did the random state and the state that is
    carried from batch to batch, each of them a list where several processes trained. Which data a
    run learned from was not said.
    """
    task = content["training"]["task"]
    old = {OPTIMIZERS[name]: state for name, state in task["optimizers"].items()}
    old |= {MODULES[name]: state for name, state in task["modules"].items()}
    ranks = task["ranks"]
    together = isinstance(ranks, list)
    parts = ranks if together else [ranks]
    for name, before in (("random", "random"), ("carried", "state")):
        values = [part[name] for part in parts if name in part]
        if values:
            old[before] = values if together else values[0]
    if "protocol" in task:
        old["protocol"] = task["protocol"]
    without = {name: value for name, value in content.items() if name != "data"}
    return without | {"training": content["training"] | {"task": old}}
