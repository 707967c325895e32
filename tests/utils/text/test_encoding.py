"""The likely encoding of a file, by the letters of its language: which others share their bytes."""

import io

import pytest

from utils.text.encoding import decode_file, guess_encoding

WESTERN, EASTERN = ("latin-1", "cp1252"), ("cp1250", "iso8859-2")
TEXTS = {
    "French": (WESTERN, "Mais la fenêtre restait ouverte. Même la reine le répétait à l’été."),
    "French, few": (WESTERN, "Même la reine le répétait."),
    "German": (WESTERN, "Die Bürger hören früh am Morgen die Vögel. Größere Häuser, süßer Wein."),
    "Spanish": (WESTERN, "El niño soñó con la montaña. ¿Mañana irá a España? La canción, aquí."),
    "Portuguese": (WESTERN, "Não há pão. As canções são bonitas, e o coração também, irmão."),
    "Italian": (WESTERN, "La città è bella perché c’è il sole. Così andrò più in là, però…"),
    "Swedish": (WESTERN, "Där går en flicka över ån. Gräset är grönt, och du är välkommen."),
    "Danish": (WESTERN, "På bjerget står et træ. Børnene går på stranden og spiser æbler."),
    "Polish": (EASTERN, "Chłopiec poszedł do szkoły, ponieważ już była ósma; śpiewał piosenkę."),
    "Czech": (EASTERN, "Děti šly do školy a řekly, že kůň úpěl. Maminka uvařila večeři."),
    "Slovak": (EASTERN, "Pretože už bolo osem hodín, deti sa hrali v záhrade. Ľudia kráčali."),
    "Hungarian": (EASTERN, "A fiú elment, mert már nyolc óra volt. Őszintén, a tűz jól égett."),
    "Romanian": (("cp1250",), "Băiatul s-a dus la şcoală, pentru că Ţara este frumoasă şi mare."),
    "Croatian": (EASTERN, "Žena čeka đaka ispred kuće, jer je već bilo osam. Djeca šute."),
    "Turkish": (("cp1254",), "Çocuk okula gitti, çünkü ışık ağacın üstünde. Şarkı söylüyordu."),
    "Russian": (("cp1251", "koi8-r", "cp866"), "Все счастливые семьи похожи друг на друга."),
    "Greek": (("cp1253",), "Το αγόρι πήγε στο σχολείο γιατί ήταν ήδη οκτώ."),
}
CASES = [(language, code) for language, (codes, _) in TEXTS.items() for code in codes]


@pytest.mark.parametrize(("language", "code"), CASES)
def test_the_letters_of_a_language_tell_its_encoding(language, code):
    """What is named reads the text as it was written, in small letters, too, and often repeated."""
    text = TEXTS[language][1]
    if code not in ("cp1252", "cp1250"):
        text = text.replace("’", "'").replace("…", "...")  # which the others have not
    for variant in (text, text.lower(), f"plain words, {text}\n" * 20):
        written = variant.encode(code)
        found = guess_encoding(io.BytesIO(written))
        assert found is not None
        assert written.decode(found) == variant, found


def test_latin_1_is_named_where_it_is_enough():
    for rest, code in (("puis elle rentre.", "latin-1"), ("puis l’autre rentre.", "cp1252")):
        written = f"Elle va à la forêt, {rest} ".encode("cp1252")
        assert guess_encoding(io.BytesIO(written * 3)) == code


def test_utf_8_that_is_read_as_something_else_is_noted(tmp_path, capsys):
    """It would be read without an error, each letter beyond ASCII as two others."""
    file = tmp_path / "book.txt"
    for code in ("utf-8", "latin-1"):
        file.write_bytes("né à la forêt\n".encode(code))
        text = "".join(decode_file(file, "latin-1", 1000))
        assert (text == "né à la forêt\n") == (code == "latin-1")
        note = f"note: {file} is UTF-8 text, other characters in latin-1: leave --encoding out\n"
        assert capsys.readouterr().out == (note if code == "utf-8" else "")
    for code, written in (("utf-16", "né"), ("latin-1", "plain"), ("gb18030", "道可道")):
        file.write_bytes(written.encode(code))
        assert "".join(decode_file(file, code, 1000)) == written
        assert capsys.readouterr().out == ""
