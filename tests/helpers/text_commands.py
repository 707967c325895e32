"""The commands of the text models, and the options of a training that takes a second."""

from models.lstm import test as lstm_test
from models.lstm import train as lstm_train
from models.tcn import test as tcn_test
from models.tcn import train as tcn_train
from models.transformer import test as transformer_test
from models.transformer import train as transformer_train

TRAIN = {
    "lstm": lstm_train.main,
    "tcn": tcn_train.main,
    "transformer": transformer_train.main,
}
TEST = {"lstm": lstm_test.main, "tcn": tcn_test.main, "transformer": transformer_test.main}
SMALL = {
    "lstm": "--hidden_size 8 --layers 2 --dropout 0.2",
    "tcn": "--channels 8 --levels 2 --dropout 0.2",
    "transformer": "--width 8 --heads 2 --layers 1 --context 16 --dropout 0.2 --carry_state true",
}
SHORT = "--batch_size 16 --training.length 32 --training.epochs 4 --warmup_steps 2"
SHORT += " --protocol.epochs 1,3 --device cpu"


def small(kind: str, *more: str) -> list[str]:
    """Returns the options of a small training of this kind, and more."""
    return [*SMALL[kind].split(), *SHORT.split(), *more]
