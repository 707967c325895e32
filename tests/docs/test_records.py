"""Tables of docs are made of records: none has drifted, none is typed."""

import pytest

from docs import records


@pytest.mark.parametrize("page", records.TABLES)
def test_the_tables_are_those_of_the_records(page):
    text = (records.ROOT / page).read_text(encoding="utf-8")
    made = records.put_in(text, records.TABLES[page])
    assert made == text, "make the tables anew: python -m docs.records"


def test_the_table_shows_the_best_n(monkeypatch):
    def row(what, n, nats):
        return {"text": "t", "what": what, "n": n, "stream_nats": nats, "blocks_nats": nats}

    rows = [row("unigrams", "1", "3.0"), row("Kneser-Ney", "2", "2.0"), row("Kneser-Ney", "3", "1")]
    rows += [row("Kneser-Ney", "4", "1.5"), {**row("xz", "", "0.6931"), "blocks_nats": ""}]
    monkeypatch.setattr(records, "read_record", lambda name: rows)
    assert records.text_floors("t").splitlines()[2:] == [
        "| unigrams | 3.0000 | 4.3281 | 3.0 |",
        "| Kneser-Ney, n = 3 | 1.0000 | 1.4427 | 1 |",
        "| xz | 0.6931 | 0.9999 | - |",
    ]


def test_a_mark_that_is_gone_is_named():
    with pytest.raises(ValueError, match="stand there 0 times"):
        records.put_in("# Text", records.TABLES["docs/text.md"])


def test_units_of_several_seeds_share_a_column():
    def row(kind, run, score, chance, name="vowel"):
        known = {"kind": kind, "run": run, "property": name, "measure": "area"}
        return known | {"score": score, "unit": "−g1 7", "chance": chance}

    rows = [row("lstm", "a", "0.90", "0.52"), row("lstm", "b", "0.96", "0.55")]
    rows += [row("tcn", "c", "0.88", "0.50"), row("lstm", "a", "0.70", "0.60", "quotes")]
    assert records.table_of_units(rows).splitlines() == [
        "| property | measure | lstm, 2 seeds | tcn | by chance |",
        "|---|---|---|---|---|",
        "| vowel | area | 0.93 (0.90 to 0.96) | 0.88 (−g1 7) | 0.55 |",
        "| quotes | area | 0.70 | too rare | 0.60 |",
    ]
