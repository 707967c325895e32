"""Small text models, one of each kind, the Transformer with all positions and the quick recipe."""

from models.lstm import modules as lstm
from models.tcn import modules as tcn
from models.transformer import modules as transformer

ALPHABET = 11


def small_models() -> dict:
    """Makes the models, by name."""
    lstm_config = lstm.ModelConfig(
        name="m", hidden_size=13, layers=2, dropout=0.0, recurrent_init="orthogonal"
    )
    tcn_config = tcn.ModelConfig(name="m", channels=12, kernel_size=3, levels=3, dropout=0.0)
    models = {"lstm": lstm.Model(ALPHABET, lstm_config), "tcn": tcn.Model(ALPHABET, tcn_config)}
    sizes = {"name": "m", "width": 16, "heads": 2, "layers": 2, "context": 8, "dropout": 0.0}
    for positions in ("none", "learned", "sinusoidal", "rotary"):
        config = transformer.ModelConfig(positions=positions, **sizes)
        models[positions] = transformer.Model(ALPHABET, config)
    config = transformer.ModelConfig(positions="rotary", recipe="quick", **sizes)
    models["quick"] = transformer.Model(ALPHABET, config)
    return models


MODELS = list(small_models())
