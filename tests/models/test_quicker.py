"""The quick recipe of the Transformer, against its equations written out once more."""

import math

import pytest
import torch
from torch.nn import functional

from models.transformer.modules import Model, ModelConfig
from utils.training.optimizers import make_optimizers

V, WIDTH, HEADS, CONTEXT = 7, 12, 2, 4
D = WIDTH // HEADS


def make_model(**settings):
    torch.manual_seed(0)
    values = {"name": "m", "width": WIDTH, "heads": HEADS, "layers": 2, "context": CONTEXT}
    values |= {"positions": "none", "dropout": 0.0, "recipe": "quick"}
    return Model(V, ModelConfig(**values | settings)).double()


@pytest.fixture
def model():
    model = make_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def by_hand(model, codes):
    """Logits (T, V) of codes (T,), character by character and head by head."""
    x = [
        model.embed.weight[:, c] * V**0.5 + model.embed.bias + model.pairs.table[before, c]
        for before, c in zip([0, *codes[:-1]], codes, strict=True)
    ]
    for block in model.blocks:
        normed = [functional.layer_norm(v, (WIDTH,), *block.attention_norm.parameters()) for v in x]
        qkv = [block.attention.qkv.weight @ v + block.attention.qkv.bias for v in normed]
        added = []
        for t in range(len(x)):
            out = []
            for n in range(HEADS):
                q, k, v = (
                    [row[part * WIDTH + n * D : part * WIDTH + (n + 1) * D] for row in qkv]
                    for part in range(3)
                )
                q, k = ([math.sqrt(D) * w / w.norm() for w in rows] for rows in (q, k))
                seen = range(max(0, t - CONTEXT + 1), t + 1)
                scores = torch.stack([q[t] @ k[s] / math.sqrt(D) for s in seen])
                assert (scores.abs() <= math.sqrt(D) + 1e-9).all()
                weights = scores.softmax(0)
                out.append(sum(a * v[s] for a, s in zip(weights, seen, strict=True)))
            added.append(block.attention.out(torch.cat(out)))
        x = [v + more for v, more in zip(x, added, strict=True)]
        for t, v in enumerate(x):
            hidden = block.mlp[0](functional.layer_norm(v, (WIDTH,), *block.mlp_norm.parameters()))
            x[t] = v + block.mlp[2](torch.where(hidden > 0, hidden**2, 0.0))
    return model.head(model.norm(torch.stack(x)))


def test_it_is_its_equations(model):
    codes = [3, 0, 6, 6, 1, 5, 2, 4, 3]
    expected = by_hand(model, codes)
    assert model(torch.tensor([codes]))[0][0].allclose(expected, atol=1e-6)  # rms_norm has an eps


def test_it_starts_with_sublayers_and_pairs_of_zero():
    model, codes = make_model(), torch.randint(V, (2, 9))
    one_hot = V**0.5 * functional.one_hot(codes, V).double()
    assert torch.equal(model(codes)[0], model.head(model.norm(model.embed(one_hot))))
    plain = make_model(recipe="course")
    assert torch.equal(plain.embed.weight, model.embed.weight)
    assert plain.pairs is None
    assert set(model.state_dict()) - set(plain.state_dict()) == {"pairs.table"}


def test_a_piece_goes_on_from_the_last_character(model):
    codes = torch.randint(V, (2, 10), dtype=torch.uint8)  # of so few bits that V² would not fit
    whole, (first, state) = model(codes)[0], model(codes[:, :4])
    assert state[1][0].tolist() == codes[:, 3:4].tolist()
    second, _ = model(codes[:, 4:], state)
    assert torch.cat([first, second], dim=1).allclose(whole, atol=1e-12)
    wrong = (state[0], (state[1][0][:1], *state[1][1:]))
    with pytest.raises(ValueError, match="the last code is"):
        model(codes[:, 4:], wrong)
    with pytest.raises(ValueError, match="caches are of length 2, expected"):
        model(codes[:, 4:], (4, state[1][1:]))


def test_the_table_of_pairs_faces_the_alphabet(model):
    """Muon steps hidden matrices; AdamW has the table, whose rows have a size of their own."""
    made = make_optimizers(model, model.outer, 0.1, beta2=0.9, muon=True)
    muon = {id(p) for group in made["muon"].param_groups for p in group["params"]}
    assert id(model.pairs.table) not in muon
    assert {id(block.attention.qkv.weight) for block in model.blocks} <= muon
