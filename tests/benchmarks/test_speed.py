"""The benchmark of denormal numbers: every optimiser and every training is in its table."""

import torch

from benchmarks.speed import denormals


def test_every_optimizer_and_every_training_has_a_row(capsys):
    assert denormals.main(["--quick"]) == 0
    table = capsys.readouterr().out
    for name in ("AdamW", "Adam", "Muon", "RMSprop"):
        assert f"| {name}, 1 thread |" in table
    for name in ("TCN", "GAN", "AAE", "ladder", "rendered faces"):
        assert f"| {name}, late against early, 1 thread |" in table


def test_half_of_the_units_are_dead_in_a_training():
    """Their averages stay as they were left, those of the other half are of today's gradient."""
    task = denormals.make_task("TCN", few=True)
    denormals.prepare_training(task, 1, 1e-3)()
    averages = denormals.find_averages(task.optimizers["adamw"])
    squares = [mean for mean in averages if mean.dim() > 1][1::2]
    for mean in squares:
        dead = denormals.take_half(mean)
        assert torch.allclose(dead, torch.full_like(dead, 1e-3 * 0.99))
        assert (mean[len(dead) :] < 1e-3).any()
