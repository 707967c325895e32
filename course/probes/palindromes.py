"""Exercise on palindromes: what decides one, and the model around the LSTM."""

from types import ModuleType

import numpy as np
import torch

from course.probes.probe import Arrays, Probe, Project, fill


class Complete(Probe):
    function = "models/palindrome/data.py:complete_palindromes"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"odd": rng.integers(10, size=(4, 3)), "even": rng.integers(10, size=(4, 4))}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        complete = module.complete_palindromes
        outputs = {"of_six": complete(inputs["odd"], 5), "of_seven": complete(inputs["even"], 6)}
        return {name: np.asarray(digits).astype(np.int64) for name, digits in outputs.items()}


class Classify(Probe):
    """The stand-in for the LSTM is no LSTM, but called like one, in pieces as well."""

    function = "models/palindrome/modules.py:Model.forward"

    def draw(self, rng: np.random.Generator, project: Project) -> Arrays:
        return {"digits": rng.integers(10, size=(5, 6)), "weights": rng.normal(size=500)}

    def neighbours(self, inputs: Arrays) -> dict:
        def leave(layer, initialise_U):
            pass  # all numbers are filled in afterwards

        def forward(lstm, x, state=None):
            H = lstm.hidden_size
            numbers = torch.linspace(-1, 1, 10 * H, dtype=x.dtype).view(10, H)
            c = x.new_zeros(len(x), H) if state is None else state[1][0]
            outputs = []
            for seen in (x @ numbers).unbind(dim=1):  # (B, H)
                c = 0.8 * c + seen
                outputs.append(torch.sin(3 * c))
            return torch.stack(outputs, dim=1), (outputs[-1][None], c[None])

        lstm = "models/lstm/modules.py"
        return {f"{lstm}:LSTM.forward": forward, f"{lstm}:LSTMLayer.initialise": leave}

    def run(self, module: ModuleType, inputs: Arrays) -> dict:
        config = module.ModelConfig(name="asked", T=6, hidden_size=4, dropout=0.0)
        model = fill(module.Model(config), inputs["weights"]).eval()
        return {"logits": model(torch.from_numpy(inputs["digits"]))}
