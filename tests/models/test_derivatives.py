"""Derivatives of every kind through both hand-derived backward passes: those of the readable form.

Only the first derivative, backwards, is derived by hand. Where another is asked for the readable
form takes over; a twin that was called without it says so, and is never silently zero.
"""

from functools import partial

import pytest
import torch
from torch.autograd import forward_ad, gradgradcheck
from torch.autograd.functional import hessian
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap
from torch.utils.checkpoint import checkpoint

from models.lstm.modules import LSTM
from models.lstm.recurrence import read_fast
from models.palindrome.modules import Model as Palindrome
from models.palindrome.modules import ModelConfig as PalindromeConfig
from models.transformer.attention import attend_fast
from models.transformer.modules import CausalAttention
from tests.helpers.small_models import MODELS, small_models

LAYERS = {
    "lstm": partial(LSTM, 4, 3, 1),
    "attention": partial(CausalAttention, 4, 2, 3),  # a context below the length
}
# Of torch itself: its forward-mode is written in TorchScript, scatter has no rule for vmap.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]
each_layer = pytest.mark.parametrize("kind", LAYERS)


@pytest.fixture
def both(kind):
    """A layer and its readable form, of the same weights, as functions of x and of weights."""
    torch.manual_seed(0)
    layers = [LAYERS[kind](kernel=kernel).double() for kernel in ("fast", "readable")]
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.randn(2, 5, 4, dtype=torch.float64)


def assert_alike(ours, theirs):
    ours, theirs = torch.utils._pytree.tree_leaves(ours), torch.utils._pytree.tree_leaves(theirs)
    assert any(part.abs().max() > 1e-3 for part in theirs), "nothing would have been seen"
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def penalised(layer, x, d_out):
    """Gradients, by x and weights, of a penalty on the gradient by x for an incoming d_out."""
    x = x.clone().requires_grad_()
    out = layer(x)[0]
    (slope,) = torch.autograd.grad(out, x, d_out(out), create_graph=True)
    penalty = (slope.norm() - 1) ** 2
    # the last bias has none: what is added to the output does not change its slope
    return torch.autograd.grad(penalty, [x, *layer.parameters()], materialize_grads=True)


INCOMING = {
    "ones": torch.ones_like,
    "expanded": lambda out: torch.ones((), dtype=out.dtype).expand_as(out),
    "which requires a gradient": lambda out: torch.ones_like(out, requires_grad=True),
    "which depends on the output": lambda out: 2 * out,
}


@pytest.mark.parametrize("incoming", INCOMING)
@each_layer
def test_second_derivatives_are_right(both, x, incoming):
    """Whatever the incoming gradient: it need not be part of a graph."""
    assert_alike(*(penalised(layer, x, INCOMING[incoming]) for layer in both))


@pytest.mark.parametrize("options", [{}, {"vectorize": True}])
@each_layer
def test_hessians_are_right(both, x, options):
    of_x = [partial(lambda layer, x: layer(x)[0].square().sum(), layer) for layer in both]
    assert_alike(*(hessian(function, x, **options) for function in of_x))
    assert_alike(jacfwd(jacrev(of_x[0]))(x), hessian(of_x[1], x))


@each_layer
def test_a_loss_of_all_outputs_and_a_state_made_of_x(both, x):
    """Each input's own share: h and the cache depend on x, which must not be counted twice."""
    results = []
    for layer in both:
        leaf = x.clone().requires_grad_()
        if isinstance(layer, LSTM):
            state = leaf[None, :, 0, :3].expand(1, -1, -1).contiguous()
            out, parts = layer(leaf, (state, 2 * state))
        else:
            cache = leaf[:, :4].view(2, 2, 4, 2)
            out, parts = layer(leaf, None, (cache, 2 * cache))
        loss = out.square().sum() + sum(part.pow(3).sum() for part in parts)
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        results.append(torch.autograd.grad(slope.square().sum(), [leaf, *layer.parameters()]))
    assert_alike(*results)


@each_layer
def test_gradgradcheck_approves(both, x):
    x = x[:1, :2].clone().requires_grad_()
    weights = {name: p.detach().requires_grad_() for name, p in both[0].named_parameters()}

    def layer(x, *values):
        return functional_call(both[0], dict(zip(weights, values, strict=True)), (x,))[0]

    assert gradgradcheck(layer, (x, *weights.values()))


@each_layer
def test_function_transforms(both, x):
    """torch.func on weights and on x: grad, vmap over pictures of it, vmap, both Jacobians, jvp."""
    functions = []
    for layer in both:
        call = partial(functional_call, layer)
        functions.append(lambda weights, x, call=call: call(weights, (x,))[0])
    weights = dict(both[0].named_parameters())
    along = {name: torch.ones_like(weight) for name, weight in weights.items()}

    def loss(function, weights, x):
        return function(weights, x).square().sum()

    each = [partial(loss, function) for function in functions]
    assert_alike(*(grad(one)(weights, x) for one in each))
    per_sample = [vmap(grad(one), (None, 0))(weights, x[:, None]) for one in each]
    assert_alike(*per_sample)
    assert_alike(*(vmap(one, (None, 0))(weights, x[:, None]) for one in functions))
    for jacobian in (jacrev, jacfwd):
        assert_alike(*(jacobian(one, argnums=1)(weights, x) for one in functions))
    assert_alike(*(jvp(partial(loss, one), (weights, x), (along, 2 * x))[1] for one in functions))


@each_layer
def test_dual_numbers(both, x):
    """Forward-mode by x, and by a weight alone."""
    results = []
    for layer in both:
        with forward_ad.dual_level():
            dual = layer(forward_ad.make_dual(x, 2 * x))[0]
            by_x = forward_ad.unpack_dual(dual).tangent
            weights = {
                name: forward_ad.make_dual(weight, torch.ones_like(weight))
                for name, weight in layer.named_parameters()
            }
            dual = functional_call(layer, weights, (x,))[0]
            results.append((by_x, forward_ad.unpack_dual(dual).tangent))
    assert_alike(*results)


@each_layer
def test_many_gradients_at_once(both, x):
    """A batch of incoming gradients: by torch.autograd, and by torch.func over an older graph."""
    results = []
    for layer in both:
        leaf = x.clone().requires_grad_()
        out = layer(leaf)[0]
        many = torch.eye(out.numel(), dtype=torch.float64).view(-1, *out.shape)[:5]
        pull_back = partial(torch.autograd.grad, out, leaf, retain_graph=True)
        results.append((pull_back(many, is_grads_batched=True), vmap(pull_back)(many)))
    assert_alike(*results)


@pytest.mark.parametrize("reentrant", [False, True])
@each_layer
def test_checkpointing(both, x, reentrant):
    results = []
    for layer in both:
        leaf = x.clone().requires_grad_()
        out = checkpoint(lambda x, layer=layer: layer(x)[0], leaf, use_reentrant=reentrant)
        out.square().sum().backward()
        results.append([leaf.grad, *(p.grad for p in layer.parameters())])
    assert_alike(*results)


def attend_alone(q, k, v):
    return attend_fast(q, k, v, 3)


TWINS = {
    "lstm": (read_fast, [(4, 2, 5), (2, 3), (2, 3), (12, 5), (12, 3), (12,)]),
    "attention": (attend_alone, [(2, 2, 4, 3)] * 3),
}


@pytest.mark.parametrize("kind", TWINS)
def test_a_twin_without_its_readable_form_says_so(kind):
    twin, shapes = TWINS[kind]
    first, *rest = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)

    def loss(first):
        outputs = twin(first, *rest)
        return (outputs if isinstance(outputs, torch.Tensor) else outputs[0]).sum()

    asked = {
        "a hessian": lambda: hessian(loss, first),
        "create_graph": lambda: loss(first).backward(create_graph=True),
        "grad": lambda: grad(loss)(first),
        "vmap": lambda: vmap(loss)(first[None]),
        "jvp": lambda: jvp(loss, (first,), (first,)),
    }
    for ask in asked.values():
        with pytest.raises(NotImplementedError, match="kernel: readable"):
            ask()
    assert loss(first).requires_grad


@pytest.mark.parametrize("name", [*MODELS, "palindrome"])
def test_whole_models_have_gradients_per_text(name):
    """vmap of grad over texts: what differential privacy takes, right for every model of codes."""
    torch.manual_seed(0)
    if name == "palindrome":
        model = Palindrome(PalindromeConfig(name="m", T=6, hidden_size=5, dropout=0.0))
    else:
        model = small_models()[name]
    model.double().eval()
    codes = torch.randint(10, (3, 6))

    def loss(weights, codes):
        out = functional_call(model, weights, (codes[None],))
        return (out[0] if isinstance(out, tuple) else out).square().sum()

    weights = dict(model.named_parameters())
    per_text = vmap(grad(loss), (None, 0))(weights, codes)
    for row in range(3):
        alone = torch.autograd.grad(loss(weights, codes[row]), list(weights.values()))
        assert_alike([per_text[key][row] for key in weights], alone)


@pytest.mark.parametrize("part", ["output", "h", "c"])
@pytest.mark.parametrize("kernel", ["fast", "readable"])
def test_what_an_lstm_returns_may_be_changed_in_place(kernel, part, x):
    """As by nn.ReLU(inplace=True) after it, or where streams that ended start from zeros again."""
    torch.manual_seed(0)
    lstm, index = LSTM(4, 3, 2, kernel=kernel).double(), ("output", "h", "c").index(part)
    found = []
    for double in (lambda returned: returned.mul_(2), lambda returned: 2 * returned):
        out, (h, c) = lstm(x)
        returned = [out, h, c]
        returned[index] = double(returned[index])
        loss = sum(one.square().sum() for one in returned)
        found.append(torch.autograd.grad(loss, list(lstm.parameters())))
    for in_place, apart in zip(*found, strict=True):
        torch.testing.assert_close(in_place, apart)
