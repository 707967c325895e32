"""Formulas as they stand in docstrings: what is read, what is named, what is refused."""

import pytest

from docs.annotation.formulas import FormulaError, Symbol, read_formula

LATEX = {
    "c_t = f_t * c_{t-1} + i_t": r"c_{t} = f_{t} \odot c_{t - 1} + i_{t}",
    "dQ = dS K / √D": r"\text{d}Q = \frac{\text{d}S \, K}{\sqrt{D}}",
    "y = 1/2 (a + b)": r"y = \frac{1}{2} \, (a + b)",
    "y = a / (b c)": r"y = \frac{a}{b \, c}",
    "y = a / b * c": r"y = \frac{a}{b} \odot c",
    "y = (a - b)^2 / (a + b)": r"y = \frac{(a - b)^{2}}{a + b}",
    "y = (a - b) (a + b) / c": r"y = \frac{(a - b) \, (a + b)}{c}",
    "dU += Σ_t da_t^T h": r"\text{d}U \;\text{+=}\; \sum_{t} \text{d}a_{t}^{\top} \, h",
    "q(z|x) = N(mu, exp(logvar))": r"q(z\mid x) = \mathcal{N}(\mu,\,\sigma^2)",
    "y = |a - b| + beta": r"y = \left| a - b \right| + \beta",
    "y = beta |a|": r"y = \beta \, \left| a \right|",
    "m' = max(m, s)": r"m' = \max(m,\,s)",
    "y = -x^{2 j} - 1": "y = -x^{2 \\, j} - 1",
    "KL(q || p) = 0": r"\text{KL}(q\,\|\,p) = 0",
}
REFUSED = ["a + b", "y = ", "y = (a", "y = a)", "y = a b) c", "y = $a", "y = a **", "y == a", "= b"]
REFUSED += ["y = x_{t", "y = the output, and more", "y = a ? b", "y = |a", "y = `a`"]


@pytest.mark.parametrize("text", LATEX)
def test_a_formula_becomes_its_latex(text):
    assert " ".join(read_formula(text).parts) == LATEX[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(FormulaError):
        read_formula(text)


def test_all_that_a_formula_names_is_known():
    formula = read_formula("out_ts = Σ_j w_j exp(x_{t - j d}) + σ(U1) + da_o + dimension_wise")
    assert formula.left == Symbol("out", ("t", "s"))
    assert set(formula.symbols) == {
        Symbol("out", ("t", "s")), Symbol("w", ("j",)), Symbol("x", ("t", "j", "d")),
        Symbol("U", ("1",)), Symbol("da", ("o",)), Symbol("dimension_wise"),
    }  # fmt: skip
    assert formula.functions == {"Σ", "exp", "σ"}
    assert formula.bound == {"j", "t"}  # of the sum, and of the left side where the right has it
