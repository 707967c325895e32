"""Links the papers that a file cites, down to the section or equation where arXiv has HTML.

papers.toml lists them by the words that cite them. What reads like a citation and is not listed
there is an error, so that no paper stays without its link.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

LIST = Path(__file__).with_suffix(".toml")
NAME = r"[A-ZÀ-Þ][\w-]+"
CITATION = re.compile(rf"(?:{NAME}(?:, {NAME})* & {NAME}|{NAME} et al\.|{NAME}) (?:19|20)\d\d\b")
PART = re.compile(
    r",(?: \"[^\"]+\",)?(?: (section|equation|appendix|figure|algorithms?) ([\w.]*\w))"
)
FORMS = (
    r"https://arxiv\.org/abs/\d{4}\.\d{5}",
    r"https://arxiv\.org/abs/\d{4}\.\d{4}",
    r"https://doi\.org/10\.\d{4}/[\w./()-]+",
    r"https://(?:openreview\.net|proceedings\.mlr\.press|cdn\.openai\.com)/[\w./?=-]+",
)


@cache
def papers() -> dict[str, str]:
    """Reads papers.toml: the address of each paper, by its citation."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def is_address(url: str) -> bool:
    """Tells whether an address has the form of a paper's."""
    return any(re.fullmatch(form, url) for form in FORMS)


def unknown_citations(text: str) -> list[str]:
    """Lists what reads like a citation in a text, and is not in papers.toml."""
    found = CITATION.findall(" ".join(text.split()))
    return [c for c in found if not any(c.endswith(known) for known in papers())]


def address_of(paper: str, parts: list[tuple[str, str]]) -> str:
    """Returns the address of a paper, or of the part of it that is cited last.

    ar5iv, arXiv's HTML of its papers, names equation 1 of section 3 S3.E1, section 3.2 S3.SS2, and
    appendix B A2.
    """
    url = papers()[paper]
    number = re.fullmatch(r"https://arxiv\.org/abs/([\d.]+)", url)
    if not number or not parts:
        return url
    section = next((n for kind, n in parts if kind == "section"), "")
    kind, place = parts[-1]
    top = f"S{section.split('.')[0]}" if section else ""
    anchor = {
        "section": top + "".join(f".SS{n}" for n in place.split(".")[1:2]),
        "equation": f"{top}.E{place}" if top else "",
        "figure": f"{top}.F{re.sub('[a-z]', '', place)}" if top else "",
        "appendix": f"A{ord(place[0]) - ord('A') + 1}",
    }.get(kind, f"alg{place}")
    return f"https://ar5iv.labs.arxiv.org/html/{number[1]}#{anchor}" if anchor else url


def split_citations(text: str) -> list[tuple[str, str]]:
    """Splits a text into pieces (words, address or ""): citations with the parts they name."""
    pieces, at = [], 0
    for found in re.finditer("|".join(re.escape(c) for c in sorted(papers(), key=len)[::-1]), text):
        if found.start() < at:
            continue
        end, parts = found.end(), []
        pieces += [(text[at : found.start()], ""), (found[0], papers()[found[0]])]
        while more := PART.match(text, end):
            parts.append((more[1], more[2]))
            start = more.start(1)
            pieces += [
                (text[end:start], ""),
                (text[start : more.end()], address_of(found[0], parts)),
            ]
            end = more.end()
        at = end
    return [piece for piece in [*pieces, (text[at:], "")] if piece[0]]
