"""The section of a run: what is known of it, its numbers and curves, what it wrote or drew."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report.blocks import Block, Cell, Chart, Listing, Paragraph, Picture, Section, Styled, Table
from report.comparing import cell, count_minutes, count_parameters, name_run
from report.discussion import read_picture
from report.facts import Fact, quote, read, read_rows, take_number
from report.produce import TEST, Part, get_part, is_fresh
from report.runs import Run
from utils.config import spell
from utils.errors import UserError
from utils.files import show

Words = dict[str, Any]
# Files of results/<run>/ that a task makes, by what a run is; what shows the data is for faces.
FACES = ("random_generation.png", "latent_analysis.png", "rotate.png")
LISTED = 20  # latents in a table
PASSAGE = re.compile(r"^## Passage \d+, from the (training|validation) text$")
ENTRY = re.compile(r"^ *(prompt|original|epoch \d+)  (.*)$")


class Writer:
    """Writes the section of a run, in the words of a language."""

    def __init__(self, run: Run, words: Words, *, as_is: bool) -> None:
        self.run, self.words, self.as_is = run, words, as_is
        self.name = Styled("code", (run.name,))

    def section(self) -> Section:
        return Section(name_run(self.run, self.words), list(self.blocks()))

    def blocks(self) -> Iterator[Block]:
        if self.run.shipped:
            yield Paragraph((self.words["shipped"],), "note")
        yield self.facts()
        yield self.numbers()
        if self.run.history is not None:
            yield from self.curves()
        if self.run.kind == "vae":
            yield from self.autoencoder()
        else:
            test = list(self.test())  # first: it may also draw
            digits = self.run.kind in ("gan", "aae")
            yield from self.digits() if digits else self.protocol()
            yield from test

    def caption(self, key: str, *further: Cell) -> Cell:
        """Fills the {} of a caption: with the run's name, then with what is given."""
        pieces = self.words[key].split("{}")
        filled: list[Any] = [pieces[0]]
        for part, piece in zip(((self.name,), *further), pieces[1:], strict=True):
            filled += [*part, piece]
        return tuple(part for part in filled if part != "")

    # What is known of any run

    def facts(self) -> Table:
        """Lists how it was made: command, what is not the default, seed, machine, versions."""
        run, words = self.run, self.words
        rows = [
            (words["command"], (Styled("code", (run.command,)),)),
            (words["changed"], tuple(self.changes())),
            (words["parameters"], cell(count_parameters(run))),
            (words["seed"], cell(run.setting("training", "seed"))),
        ]
        if run.history is None:
            rows += [
                (words["kept_epoch"], cell(run.number("epoch"))),
                (words["seconds_epoch"], cell(run.number("seconds"))),
            ]
        else:
            last = take_number(run.history, f"epoch={run.epochs}/epoch")
            rows += [(words["epochs"], cell(last)), (words["minutes"], cell(count_minutes(run)))]
        machine = run.entry("machine") or words["not_recorded"]
        rows += [(words["machine"], cell(machine)), (words["torch"], cell(run.entry("torch")))]
        table = [((title,), value) for title, value in rows]
        return Table(((), ()), table, "ll", self.caption("facts_caption"))

    def changes(self) -> Iterator[Any]:
        """Yields the settings that are not the default, as options; and that there is none."""
        found = [(place, self.run.setting(*place)) for place in self.run.changed]
        found = [(place, fact) for place, fact in found if fact is not None]
        for index, (place, fact) in enumerate(found):
            option = spell(self.run.config, *place)
            yield ", " if index else ""
            yield Styled("code", (f"{option} ", fact))
        if not found:
            yield self.words["nothing_changed"]

    def numbers(self) -> Table:
        """Shows the columns of the history at the first, the best and the last epoch."""
        run, words = self.run, self.words
        epochs: dict[str, int | None] = {"best": run.content["epoch"]}
        if run.history is not None:
            epochs = {"first": 1} | epochs | {"last": run.epochs}
        columns = [name for name in run.of.columns if run.number(name)]
        head = [(), (words["epoch"],), *((words["columns"][name],) for name in columns)]
        rows = [
            [
                (words[which] if run.history else words["kept_epoch"],),
                cell(run.number("epoch", epoch)),
                *(cell(run.number(name, epoch)) for name in columns),
            ]
            for which, epoch in epochs.items()
        ]
        return Table(head, rows, "l" + "r" * (len(head) - 1), self.caption("numbers_caption"))

    def curves(self) -> Iterator[Chart]:
        run, words = self.run, self.words
        rows = read_rows(run.history)
        source = Fact(
            "", run.history, "epoch, " + ", ".join(c for _, cs in run.of.charts for c in cs)
        )
        for axis, columns in run.of.charts:
            series = [
                (
                    words["columns"][name],
                    [(int(r["epoch"]), float(r[name])) for r in rows if r[name]],
                )
                for name in columns
                if name in rows[0]
            ]
            series = [(name, points) for name, points in series if points]
            if series:
                title = words["axes"][axis]
                caption = self.caption("curve_caption", (title,))
                best = run.content["epoch"]
                yield Chart(series, title, words["epoch"], best, caption, source)

    # What it wrote or drew

    def protocol(self) -> Iterator[Block]:
        """Shows how the passages of protocol.md go on, epoch by epoch."""
        file = self.run.results / "protocol.md"
        if self.run.shipped or not file.is_file():
            return
        split, rows = None, []
        for line in [*read(file).splitlines(), "## "]:
            found, passage = ENTRY.match(line), PASSAGE.match(line)
            if found and split:
                label = found[1]
                label = quote(label, file) if label.startswith("epoch") else self.words[label]
                rows.append([(label,), (quote(found[2], file),)])
            elif line.startswith("## "):
                if rows:
                    caption = self.caption("protocol_caption", (self.words[split],))
                    caption = (*caption, quote("", file))
                    yield Table(((), ()), rows, "ll", caption, typewriter=True)
                split, rows = passage[1] if passage else None, []

    def test(self) -> Iterator[Block]:
        part = get_part(self.run, TEST, as_is=self.as_is)
        if part.missing:
            yield self.left_out(part)
            return
        caption = self.caption("test_caption", (Styled("code", (part.command,)),))
        yield Listing((quote(read(part.file).rstrip("\n"), part.file),), caption)

    def digits(self) -> Iterator[Block]:
        """Shows the pictures of a GAN or an AAE."""
        yield from self.milestones()
        yield from self.picture("samples.png", "samples_caption")
        for name, caption in (
            ("reconstruction.png", "reconstruction_caption"),
            ("codes.png", "codes_caption"),
        ):
            if is_fresh(self.run.results / name, self.run):
                yield from self.picture(name, caption)
        file = self.run.results / "interpolation.pdf"
        if is_fresh(file, self.run):
            before, after = self.words["interpolation"].split("{}")
            yield Paragraph((before, Styled("code", (show(file),)), after), "note")

    def milestones(self) -> Iterator[Block]:
        """Shows what was drawn early, in the middle and late in training."""
        found = sorted(self.run.results.glob("samples_[0-9]*.png")) if self.run.history else []
        for file in dict.fromkeys(found[:1] + found[len(found) // 2 : len(found) // 2 + 1]):
            epoch = str(int(file.stem.removeprefix("samples_")))
            caption = self.caption("milestone_caption", (Fact(epoch, file, "name"),))
            yield self.show(file, caption)

    def autoencoder(self) -> Iterator[Block]:
        run = self.run
        yield from self.milestones()
        yield from self.picture("random_generation.png", "random_generation_caption")
        if run.config.model.network != "ladder" and run.config.model.z_dim == 2:
            yield from self.picture("manifold.png", "manifold_caption")
        faces = run.config.data.dataset == "faces"
        if faces or is_fresh(run.results / "latent_analysis.png", run):
            yield from self.picture("latent_analysis.png", "latent_analysis_caption")
            yield from self.analysis()
        if faces or is_fresh(run.results / "rotate.png", run):
            yield from self.picture("rotate.png", "rotate_caption")

    def analysis(self) -> Iterator[Block]:
        """Shows the table of the latents and, where the factors are known, their scores."""
        file, words = self.run.results / "latent_analysis.csv", self.words
        if not is_fresh(file, self.run):
            return
        rows = read_rows(file)
        if not {"latent", "kl_nats", "active", "name"} <= rows[0].keys():
            raise UserError(f"{show(file)} has other columns: remove it, and it is made anew")
        rows = [row for row in rows if row["active"] == "True"][:LISTED] or rows[:1]
        named = any(row.get("name") for row in rows)
        head = [words["latent"], "KL, nats", *([words["name"], words["share"]] if named else [])]
        table = []
        for row in rows:
            at, name = f"latent={row['latent']}", row.get("name")
            cells = [
                ("z", Fact(row["latent"], file, f"{at}/latent", row["latent"])),
                cell(take_number(file, f"{at}/kl_nats")),
            ]
            if named:
                share = take_number(file, f"{at}/{name}_share") if name else None
                cells += [(name.replace("_", " "),) if name else cell(None), cell(share)]
            table.append(cells)
        aligned = "lrlr" if named else "lr"
        heads = [(title,) for title in head]
        yield Table(heads, table, aligned, self.caption("analysis_caption"))
        yield from self.scores(file.with_suffix(".json"))

    def scores(self, file: Path) -> Iterator[Block]:
        if not is_fresh(file, self.run):
            return
        names = ("active_units", "mig", "dci_disentanglement", "dci_completeness")
        names = (*names, "dci_informativeness")
        found = [(name, take_number(file, f"scores.{name}")) for name in names]
        rows = [[(self.words[name],), (fact,)] for name, fact in found if fact is not None]
        head = ((self.words["score"],), (self.words["value"],))
        yield Table(head, rows, "lr", self.caption("scores_caption"))

    def picture(self, name: str, caption: str) -> Iterator[Block]:
        """Shows a picture of results/<run>/, made by its task where it is not there."""
        part = get_part(self.run, name, as_is=self.as_is)
        if part.missing:
            yield self.left_out(part)
        else:
            yield self.show(part.file, self.caption(caption))

    def show(self, file: Path, caption: Cell) -> Picture:
        words = "".join(part for part in caption if isinstance(part, str)).strip(" :")
        try:
            return read_picture(
                file, caption, f"{self.run.name}: {words}", Fact("", file, "picture")
            )
        except (OSError, ValueError, SyntaxError) as problem:
            raise UserError(
                f"{show(file)} is no picture that can be read ({problem}): remove it, and it is "
                "made anew"
            ) from None

    def left_out(self, part: Part) -> Paragraph:
        """Names the command that makes what is not there, and why it was not made."""
        before, after = self.words["left_out"].split("{}")
        why = f" ({part.missing})" if part.missing != "-" else ""
        return Paragraph((before, Styled("code", (part.command,)), why, after), "note")
