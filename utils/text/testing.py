"""What a trained model writes and how well it predicts: behind the text models' test.py."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from utils.command_line import Parser, add_model_options, number
from utils.config import read_json
from utils.errors import Screen, UserError
from utils.files import show, write_whole
from utils.text.data import Text, TextModel, decode, encode, load_text
from utils.text.encoding import encoding
from utils.text.fitting import fit_text, is_lowered, leave_out
from utils.text.preparation import read_text
from utils.text.protocol import space_evenly
from utils.text.streaming import write
from utils.text.training import TextConfig, describe_score
from utils.training.checkpoint import Loaded, load_model
from utils.training.fingerprint import describe_change
from utils.words import count, escape

DEFAULTS = {
    "split": "validation",
    "num_samples": 3,
    "prompt_length": 30,
    "length": 100,
    "temperature": 0.7,
    "seed": 0,
    "encoding": "utf-8",
}
WRITING = {"num_samples", "length", "temperature", "top_k", "top_p", "seed", "stop", "output"}
# What test.py is asked for, by the option that asks for it, and which options have an effect then.
TAKES = {
    "text": {"text", "encoding"},
    "prompt": {"prompt", *WRITING},
    "prompt_file": {"prompt_file", "encoding", *WRITING},
    None: {"split", "prompt_length", *WRITING},  # passages of the text that it learned from
}


def add_options(parser: Parser) -> list[argparse.Action]:
    """Adds the options of a text: what to write on from or to score, and how."""
    text, whole = parser.add_argument_group("the text"), number(int, 1)
    text.add_argument("--prompt", metavar="TEXT", help="write on from this, not from the data")
    text.add_argument("--prompt_file", type=Path, metavar="FILE", help="write on from a file's")
    text.add_argument("--text", type=Path, metavar="FILE", help="score this text, and write none")
    text.add_argument("--encoding", type=encoding, help="of that file (default: utf-8)")
    text.add_argument(
        "--split",
        choices=("training", "validation", "test"),
        help="where prompts come from, evenly spaced; test is measured, too (default: validation)",
    )
    text.add_argument("--num_samples", type=whole, help="texts written (default: 3)")
    text.add_argument("--prompt_length", type=whole, help="characters fed in (default: 30)")
    text.add_argument("--length", type=whole, help="characters written (default: 100)")
    text.add_argument("--stop", metavar="TEXT", help="end a sample after this")
    text.add_argument(
        "--temperature",
        type=number(float, 0),
        help="0 takes the likeliest character, 1 samples from the model's probabilities "
        "(default: 0.7)",
    )
    text.add_argument("--top_k", type=whole, help="sample among the k likeliest only")
    text.add_argument(
        "--top_p",
        type=number(float, 0, 1),
        help="then among the fewest whose probabilities add up to p",
    )
    text.add_argument("--seed", type=number(int, 0), help="same seed, same text (default: 0)")
    text.add_argument("--output", type=Path, metavar="FILE", help="write the samples to it as well")
    return text._group_actions


def parse_test(
    argv: list[str] | None, description: str | None, config_file: Path
) -> argparse.Namespace:
    """Reads the command line of a text model's test.py; the default run is the config's.

    UserError for options that contradict each other, or that have no effect.
    """
    parser = Parser(description=description)
    add_model_options(parser, read_json(config_file)["model"]["name"])
    actions = add_options(parser)
    args = parser.parse_args(argv)
    typed = [action.dest for action in actions if getattr(args, action.dest) is not None]
    asked = [name for name in TAKES if name in typed]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]}: give one of them")
    source = asked[0] if asked else None
    what = f"with --{source}" if source else "without a file to read"
    if source is None and "encoding" not in typed:
        what = "without a prompt"
    for name in typed:
        if name not in TAKES[source]:
            raise UserError(f"--{name} has no effect {what}: leave it out")
    refuse_chance(args, typed, alone=source in ("prompt", "prompt_file"))
    if args.top_p == 0:
        raise UserError("--top_p 0 keeps nothing: give a number above 0 and at most 1")
    if args.output is not None and args.output.is_dir():
        raise UserError(f"--output {args.output} is a folder: give a file")
    for name, value in DEFAULTS.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def refuse_chance(args: argparse.Namespace, typed: list[str], *, alone: bool) -> None:
    """Raises a UserError for what decides how to sample, where the likeliest is always taken.

    `alone`: there is one prompt. It then has one continuation.
    """
    for option, value in (("temperature", 0), ("top_k", 1)):
        if getattr(args, option) != value:
            continue
        for name in ("temperature", "top_k", "top_p", "seed"):
            if name in typed and name != option:
                raise UserError(
                    f"--{name} has no effect at --{option} {value}: leave one of them out"
                )
        if alone and (args.num_samples or 1) > 1:
            raise UserError(
                f"--num_samples {args.num_samples} would be the same text every time at "
                f"--{option} {value}: leave one of them out"
            )
        args.num_samples = 1 if alone else args.num_samples


def load_text_model(
    config_type: type[TextConfig],
    model_type: Callable[..., TextModel],
    run: str,
    epoch: str | None = None,
    device: str = "auto",
) -> Loaded:
    """Loads a run's model, built for the alphabet in its checkpoint."""

    def build_model(config: TextConfig, content: dict) -> TextModel:
        return model_type(len(content["alphabet"]), config.model)

    return load_model(config_type, run, epoch, build_model, device)


def find_text(loaded: Loaded) -> Text:
    """Loads the text a model was trained on. UserError where it is not there, or is another."""
    data, content = loaded.config.data, loaded.content
    text = load_text(data)
    if change := describe_change(content, {"alphabet": text.alphabet} | text.fingerprint()):
        raise UserError(f"data/{data.name} is not the text this model was trained on: {change}")
    return text


def choose_passages(
    args: argparse.Namespace, text: Text, data: str
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Takes evenly spaced passages of a text: prompt, original. UserError where they do not fit."""
    source, window = getattr(text, args.split), args.prompt_length + args.length
    if len(source) == 0:
        raise UserError(
            f"data/{data} has no {args.split} text for this model: --split training, or a --prompt"
        )
    places = space_evenly(len(source), args.num_samples, window)
    passages = [source[place : place + window].astype(np.int64) for place in places]
    return [torch.from_numpy(codes).tensor_split([args.prompt_length]) for codes in passages]


def read_typed(name: str, text: str, alphabet: list[str]) -> torch.Tensor:
    """Turns what was typed for an option into codes (T >= 1,), and says what it is taken for."""
    if not text:
        raise UserError(f"--{name} is empty: give at least one character")
    (fitted, notes), known = fit_text(text, alphabet), set(alphabet)
    if not set(fitted) <= known:  # name the characters as they were typed
        encode("".join(c for c in set(text) if set(fit_text(c, alphabet)[0]) - known), alphabet)
    if not fitted:
        raise UserError(f"--{name} is empty but for a byte order mark: give a character")
    if notes:
        print(f"note: --{name} is put in the model's alphabet: {', '.join(notes)}")
    return encode(fitted, alphabet)


class Writer:
    """Shows a sample while it is written, and says when it ends with what is to stop it."""

    def __init__(self, alphabet: list[str], stop: str | None) -> None:
        self.alphabet, self.stop, self.text = alphabet, stop, ""

    def watch(self, code: int) -> bool:
        char = self.alphabet[code]
        self.text += char
        if isinstance(sys.stdout, Screen):
            sys.stdout.pour(char)
        else:
            print(escape(char), end="", flush=True)
        return self.stop is not None and self.text.endswith(self.stop)


def show_samples(title: str, loaded: Loaded, args: argparse.Namespace) -> None:
    """Prints what was fed in, the original and what the model writes; then one line of numbers.

    With a text to score it prints one line of numbers only.
    """
    model, config, content = loaded
    alphabet, data = content["alphabet"], config.data
    heading = f"{title} {args.ckpt_name}, epoch {content['epoch']}, trained on data/{data.name}\n"
    if args.text is not None:
        print(heading)
        return score_file(model, alphabet, args)
    text = None
    if args.prompt is None and args.prompt_file is None:
        try:
            text = find_text(loaded)
        except UserError as problem:
            raise UserError(f"{problem}; or give a --prompt") from None
        passages = choose_passages(args, text, data.name)
    elif args.prompt is not None:
        prompt = read_typed("prompt", args.prompt, alphabet)
        passages = [(prompt, None)] * args.num_samples
    else:
        typed = read_text(args.prompt_file, raw=True, encoding=args.encoding)
        passages = [(read_typed("prompt_file", typed, alphabet), None)] * args.num_samples
    stop = None
    if args.stop is not None:
        stop = decode(read_typed("stop", args.stop, alphabet), alphabet)
    print(heading)
    samples = write_samples(title, model, alphabet, passages, stop, args)
    if args.output is not None:
        save_samples(args.output, samples)
    if text is not None:
        print(describe_score(model, text.validation))
        if args.split == "test":
            print(describe_score(model, text.test, "test"))


def write_samples(
    title: str,
    model: TextModel,
    alphabet: list[str],
    passages: list[tuple[torch.Tensor, torch.Tensor | None]],
    stop: str | None,
    args: argparse.Namespace,
) -> list[str]:
    """Writes on from each prompt, and shows it; returns the samples, their prompts included."""
    exact, samples = [], []
    for index, (prompt, original) in enumerate(passages):
        read = decode(prompt, alphabet)
        print(f"Initialization:\n{read}\n")
        if original is not None:
            print(f"Original:\n{decode(original, alphabet)}\n")
        print(f"{title}:")
        writer = Writer(alphabet, stop)
        written, restarts = write(
            model,
            prompt,
            args.length,
            temperature=args.temperature,
            top_k=args.top_k,
            top_p=args.top_p,
            seed=args.seed + index,
            watch=writer.watch,
        )
        print("\n")
        if original is not None:
            exact.append((written == original[: len(written)]).double().mean().item())
        if restarts:
            times = count(restarts, "time")
            print(f"(positions ended {times}: started anew from the last half of them)\n")
        samples.append(read + writer.text)
    if exact:
        print(f"{100 * np.mean(exact):.1f} % of the characters written are the original's")
    return samples


def save_samples(file: Path, samples: list[str]) -> None:
    """Saves samples, prompts included, in UTF-8: one as it is, several under numbered lines."""
    parts = samples
    if len(samples) > 1:
        parts = [f"=== sample {number} ===\n{one}\n" for number, one in enumerate(samples, 1)]
    write_whole(file, "".join(parts).encode("utf-8"))
    print(f"wrote {count(len(samples), 'sample')} to {show(file)}")


def score_file(model: TextModel, alphabet: list[str], args: argparse.Namespace) -> None:
    """Scores any text: prepared as the model's own was, without what its alphabet lacks."""
    lowered = is_lowered(alphabet)
    text, notes = fit_text(read_text(args.text, raw=not lowered, encoding=args.encoding), alphabet)
    kept, left = leave_out(text, alphabet)
    if len(kept) < 2:
        raise UserError(
            f"{args.text} has {count(len(kept), 'character')} of the model's alphabet: "
            f"right would be two or more of {''.join(alphabet)!r}"
        )
    if lowered:
        notes = ["lower-cased and without empty lines", *notes]
    if notes or left:
        print(f"note: {show(args.text)} is read {', '.join([*notes, *left])}")
    codes = encode(kept, alphabet).numpy()
    print(describe_score(model, codes, f"{count(len(codes), 'character')} of {show(args.text)}:"))
