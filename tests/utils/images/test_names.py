"""Names are data: whatever a folder is called, it is drawn and printed as what it is."""

import numpy as np
import pytest
import torch
from PIL import Image

import main
from tests.helpers.every_command import call
from tests.helpers.pictures import picture
from utils.images.figures import draw_pictures
from utils.training.curves import Measure, draw_losses

NAMES = ["$x^$", "$\\frac{$", "a\nb", "\x1b[31mred", "%s {0} {", "\udcff", "_^#&~\\", "x" * 3000]


@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_names_as_they_are(name, tmp_path):
    history = [{"epoch": n, "train_nats": 1 / n, "val_nats": 1.0} for n in (1, 2)]
    draw_losses(history, tmp_path / "loss.png", name, Measure("nats"), "val_nats")
    assert picture(tmp_path / "loss.png").shape == (546, 910, 3)
    noise = torch.rand(1, 2, 3, 64, 64)
    drawn = draw_pictures(noise, tmp_path / "a.png", rows=[name[:99]], columns=[name[:99]] * 2)
    assert picture(drawn).shape[1] > 2 * 2 * 64


def test_a_training_on_a_folder_of_any_name_ends_well(repository, tmp_path):
    folder = tmp_path / "$x^$ {0} %s\n\x1b[31m\udcff"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    for number, pixel in enumerate(pixels):
        Image.fromarray(pixel).save(folder / f"{number}.png")
    small = ["--batch_size=2", "--epochs=1", "--z_dim=2", "--ckpt_name=new"]
    status, out, err = call(main.main, [f"--data={folder}", *small])
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    assert "$x^$ {0} %s\\n\\x1b[31m\\udcff/" in out
    picture(repository / "results" / "new" / "loss.png")
