"""Everything that can be trained, as commands with small settings.

A new model joins here, and so is resumed, spoilt and read in its old form; where its gradients can
be averaged it also joins TOGETHER.
"""

import importlib
from typing import NamedTuple

from vae.losses import OBJECTIVES


class Trainable(NamedTuple):
    """A training command with small settings; `kind` as in its checkpoints."""

    module: str
    kind: str
    options: str

    def train(self, *options: str) -> int:
        """Calls the command; the run is called "run". Returns its exit status."""
        main = importlib.import_module(self.module).main
        return main([*options, "--ckpt_name", "run"])

    def start(self) -> int:
        """Starts the run with the small settings."""
        return self.train(*self.options.split())


TEXT = "--batch_size 16 --training.length 32 --warmup_steps 2 --training.epochs 4"
TEXT += " --protocol.epochs 1,3 --prompts 1 --device cpu --dropout 0.2"
DIGITS = "--dataset digits --batch_size 48 --epochs 4 --z_dim 3 --device cpu"
VAE = "--dataset digits --images 96 --batch_size 32 --epochs 4 --pictures 1 --z_dim 3 --device cpu"
# Each has what a resume could lose: dropout and other noise, a state that is carried on, schedules,
# two optimisers.
TRAINABLE = {
    "lstm": f"{TEXT} --hidden_size 8 --layers 2",
    "tcn": f"{TEXT} --channels 8 --levels 2",
    "transformer": (
        f"{TEXT} --width 8 --heads 2 --layers 1 --context 16 --carry_state true --optimizer muon"
    ),
    "palindrome": "--hidden_size 8 --batches 6 --batch_size 8 --epochs 4 --device cpu",
    "gan": DIGITS,
    "aae": f"{DIGITS} --hidden_size 32",
}
TRAINABLE = {kind: Trainable(f"models.{kind}.train", kind, o) for kind, o in TRAINABLE.items()}
for objective in OBJECTIVES:
    options = f"{VAE} --objective {objective} --beta_warmup 9"
    TRAINABLE[f"vae {objective}"] = Trainable("main", "vae", options)

# At least 50 steps each, without dropout: several processes must learn what one does.
TEXT = "--batch_size 16 --training.length 16 --warmup_steps 2 --training.epochs 2"
TEXT += " --prompts 1 --prompt_length 9 --protocol.length 9 --device cpu"
VAE = "--images 104 --held_out 8 --batch_size 8 --epochs 4 --z_dim 3 --device cpu"
TOGETHER = {
    "lstm": f"{TEXT} --dropout 0 --hidden_size 8 --carry_state true",
    "tcn": f"{TEXT} --dropout 0 --channels 8 --levels 2",
    "transformer": f"{TEXT} --dropout 0 --width 8 --heads 2 --layers 1 --optimizer muon",
    "palindrome": (
        "--T 5 --hidden_size 8 --dropout 0 --batches 25 --batch_size 8 --epochs 2 --device cpu"
    ),
    "vae": f"{VAE} --learning_rate 0.00002",
}
TOGETHER = {
    kind: Trainable("main" if kind == "vae" else f"models.{kind}.train", kind, options)
    for kind, options in TOGETHER.items()
}
