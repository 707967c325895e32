"""LaTeX of names and fractions, as formulas.py puts them together."""

import re

GREEK = ("alpha", "beta", "gamma", "lambda", "mu", "pi", "sigma", "theta")
LETTERS = {name: "\\" + name for name in GREEK}
LETTERS |= {"σ": r"\sigma", "logvar": r"\log\sigma^2", "epsilon": r"\varepsilon"}


def shorten(latex: str) -> str:
    """Writes exp(log sigma^2) as papers do: sigma^2."""
    latex = latex.replace(r"\exp(\log\sigma^2)", r"\sigma^2")
    return latex.replace(r"\exp\left(\frac{\log\sigma^2}{2}\right)", r"\sigma")


def fraction(above: str, below: str) -> str:
    """Returns the LaTeX of a fraction; its line does what brackets around all of a part did."""
    parts = []
    for part in (above, below):
        whole = part.startswith("(") and part.endswith(")") and part.count("(") == 1
        parts.append(part[1:-1] if whole else part)
    return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"


def letter(name: str) -> str:
    """Returns the LaTeX of a name: a letter, a Greek one, a gradient, or a word."""
    if name in LETTERS:
        return LETTERS[name]
    if len(name) == 1:
        return name
    if re.fullmatch("d[A-Za-z]", name):
        return rf"\text{{d}}{name[1]}"
    return rf"\text{{{name.replace('_', ' ')}}}"
