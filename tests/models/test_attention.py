"""Attention by blocks against the readable form: numbers, gradients, memory, windows, streams."""

import random
from functools import partial

import pytest
import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from models.transformer import modules
from models.transformer.attention import USUAL, Sizes, attend_fast
from models.transformer.modules import CausalAttention, Model, ModelConfig, attend
from tests.helpers.small_models import small_models

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


# Blocks so small that short texts need many of them, and heads come one or a few at a time.
SMALL = Sizes(queries=3, keys=5, scores_on_cpu=40)


def model_of(seed=0, **settings):
    """A small Transformer in float64 with these settings."""
    torch.manual_seed(seed)
    config = {"name": "m", "width": 16, "heads": 2, "layers": 2, "context": 40, "dropout": 0.0}
    return Model(11, ModelConfig(**config | {"positions": "rotary"} | settings)).double()


def assert_close(ours, theirs, what, largest=None):
    """The largest difference, relative to the largest value: theirs, or the one given."""
    largest = theirs.abs().max() if largest is None else largest
    error = (ours - theirs).abs().max() / largest
    assert error <= TOLERANCE[theirs.dtype], f"{what} is off by {error:.1e} of its largest value"


def compare(B, N, T, S, D, context, dtype, sizes=USUAL):
    """Outputs and gradients of both forms, for q, k and v that lie in memory as a layer's."""
    inputs = [torch.randn(B, rows, 3 * N * D, dtype=dtype, requires_grad=True) for rows in (T, S)]
    d_out = torch.randn(B, N, T, D, dtype=dtype)
    results = []
    for attention in (partial(attend_fast, sizes=sizes), attend):
        of_queries, of_keys = (x.view(B, -1, 3, N, D).permute(2, 0, 3, 1, 4) for x in inputs)
        out = attention(of_queries[0], of_keys[1], of_keys[2], context)
        results.append((out, *torch.autograd.grad(out, inputs, d_out)))
    where = f"{B=} {N=} {T=} {S=} {D=} {context=}"
    (ours, *our_grads), (theirs, *their_grads) = results
    assert_close(ours, theirs, f"output of {where}")
    largest = max(grad.abs().max() for grad in their_grads)  # dQ = 0 where a query has one key
    for ours, theirs in zip(our_grads, their_grads, strict=True):
        assert_close(ours, theirs, f"gradient of {where}", largest)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_blocks_equal_the_readable_form(dtype):
    """Contexts below and above T, cached keys (S > T), odd sizes, a single query."""
    torch.manual_seed(0)
    rng = random.Random(0)
    for _ in range(60):
        T = rng.randint(1, 17)
        context = rng.choice((1, 2, 3, 4, 7, 12, 40))
        S = T + rng.randint(0, min(context - 1, 11))
        B, N, D = rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 5)
        compare(B, N, T, S, D, context, dtype, SMALL)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("T", "S", "context"), [(130, 130, 1000), (129, 192, 64), (65, 1100, 1090)]
)
def test_blocks_of_their_usual_size_equal_the_readable_form(T, S, context, dtype):
    torch.manual_seed(0)
    compare(2, 3, T, S, 8, context, dtype)


@pytest.mark.parametrize(("T", "S", "context"), [(7, 7, 9), (7, 7, 3), (4, 9, 6), (1, 5, 5)])
def test_hand_derived_gradient_passes_gradcheck(T, S, context):
    torch.manual_seed(0)
    shapes = ((2, 2, T, 3), (2, 2, S, 3), (2, 2, S, 3))
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(partial(attend_fast, context=context, sizes=SMALL), inputs)


def test_large_scores_stay_numbers():
    """Scores of ±1e4: exp of one alone is infinite, and so is that of the difference to no max."""
    torch.manual_seed(0)
    q, k, v = (100 * torch.randn(1, 2, 12, 8, dtype=torch.float64) for _ in "qkv")
    assert_close(attend_fast(q, k, v, 7, sizes=SMALL), attend(q, k, v, 7), "output")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 300, 8).to(dtype).requires_grad_() for _ in "qkv")
    out = attend_fast(q, k, v, 300)
    assert out.dtype == dtype
    exact = attend(q.float(), k.float(), v.float(), 300)
    assert (out - exact).abs().max() <= torch.finfo(dtype).eps * exact.abs().max()  # its rounding
    assert torch.autograd.grad(out.float().square().sum(), q)[0].dtype == dtype


def largest_tensor(action):
    """Numbers in the largest allocation of an action, by the profiler, taken as float32."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        action()
    memory = [
        event.nbytes()
        for event in seen.profiler.kineto_results.events()
        if "[memory]" in event.name()
    ]
    return max(memory) // 4


def test_no_tensor_of_T_times_T():
    """1,500 characters in a window of 20: nothing is larger than the projections' 1,500 x 3 d."""
    T, d = 1500, 8
    attention, x = CausalAttention(d, 2, 20), torch.randn(1, T, d, requires_grad=True)
    assert largest_tensor(lambda: attention(x)[0].sum().backward()) <= 2 * T * 3 * d
    q = k = v = torch.randn(1, 2, T, d // 2)
    assert largest_tensor(lambda: attend(q, k, v, 20)) >= T * T  # so it would have been seen


def test_window_is_the_mask_over_everything():
    """A model with a window equals masked full attention (the library's), and its own stream."""
    for window, seen in ((1, 1), (5, 5), (None, 40), (64, 40)):  # a window beyond the context
        model = model_of(layers=1, window=window).eval()
        attention = model.blocks[0].attention
        assert attention.context == seen
        x = torch.randn(2, 70, 16, dtype=torch.float64)
        q, k, v = attention.qkv(x).view(2, 70, 3, 2, 8).permute(2, 0, 3, 1, 4)
        t = torch.arange(70)
        mask = (t[:, None] >= t) & (t[:, None] - t < seen)
        theirs = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        theirs = attention.out(theirs.transpose(1, 2).flatten(2))
        assert_close(attention(x)[0], theirs, f"window {window}")


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rotary"])
def test_stream_through_a_window_is_the_full_pass(positions):
    model = model_of(positions=positions, window=6).eval()
    x = torch.randint(11, (2, 40))
    full, _ = model(x)
    for pieces in ([1] * 40, [3, 1, 7, 1, 1, 20, 7]):
        state, streamed = None, []
        for piece in x.split(pieces, dim=1):
            again, _ = model(piece, state)
            logits, state = model(piece, state)
            assert torch.equal(logits, again), "reading on from a state changes that state"
            assert all(part.shape[2] <= 5 for cache in state[1] for part in cache)
            streamed.append(logits)
        assert_close(torch.cat(streamed, dim=1), full, "the stream")


def test_training_with_dropout_is_the_readable_forms():
    """Two models of one seed, one of each kernel: the same gradients."""
    grads = []
    for kernel in modules.KERNELS:
        model = model_of(dropout=0.3, window=6, kernel=kernel)
        x = torch.randint(11, (2, 30))
        model(x)[0].square().sum().backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        assert_close(ours, theirs, "a gradient")


def operators(action):
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        action()
    return {event.key for event in seen.key_averages()}


@pytest.mark.parametrize("kind", ["lstm", "tcn", "rotary"])
def test_no_fused_operator_is_called(kind):
    """Neither in a training step nor in generation: what computes is in this repository."""
    model = small_models()[kind]

    def learn_and_write():
        x = torch.randint(11, (2, 9))
        logits, _ = model(x[:, :-1])
        functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).backward()
        with torch.no_grad():
            _, state = model(x)
            for _ in range(3):
                _, state = model(x[:, :1], state)

    names = operators(learn_and_write)
    assert any("mm" in name for name in names)  # the profiler saw something
    fused = ("lstm", "rnn", "gru", "attention", "flash", "triton", "inductor", "compiled")
    assert [name for name in names if any(word in name.lower() for word in fused)] == []


def test_the_operators_we_forgo_would_have_been_seen():
    x = torch.randn(1, 2, 8, 4)
    lstm = torch.nn.LSTM(4, 4)
    names = operators(lambda: (functional.scaled_dot_product_attention(x, x, x), lstm(x[0])))
    assert any("attention" in name for name in names)
    assert any("lstm" in name for name in names)
