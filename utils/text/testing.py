"""What a trained model writes and how well it predicts: behind the text models' test.py."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.command_line import Parser, add_model_options, number
from utils.config import read_json
from utils.errors import UserError
from utils.text.data import DataConfig, Text, TextModel, decode, encode, load_text
from utils.text.protocol import space_evenly
from utils.text.streaming import write
from utils.text.training import TextConfig, describe_score
from utils.training.checkpoint import Loaded, load_model
from utils.training.fingerprint import describe_change


def parse_test(
    argv: list[str] | None, description: str | None, config_file: Path
) -> argparse.Namespace:
    """Reads the command line of a text model's test.py; the default run is the config's."""
    parser = Parser(description=description)
    add_model_options(parser, read_json(config_file)["model"]["name"])
    text, count = parser.add_argument_group("the text"), number(int, 1)
    text.add_argument("--prompt", metavar="TEXT", help="write on from this, not from the data")
    text.add_argument(
        "--split",
        choices=("training", "validation"),
        default="validation",
        help="where prompts come from, evenly spaced (default: validation)",
    )
    text.add_argument("--num_samples", type=count, default=3, help="texts written (default: 3)")
    text.add_argument(
        "--prompt_length", type=count, default=30, help="characters fed in (default: 30)"
    )
    text.add_argument("--length", type=count, default=100, help="characters written (default: 100)")
    text.add_argument(
        "--temperature",
        type=number(float, 0),
        default=0.7,
        help="0 takes the likeliest character, 1 samples from the model's probabilities "
        "(default: 0.7)",
    )
    text.add_argument("--top_k", type=count, help="sample among the k likeliest only")
    text.add_argument(
        "--seed", type=number(int, 0), default=0, help="same seed, same text (default: 0)"
    )
    return parser.parse_args(argv)


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


def find_text(data: DataConfig, content: Mapping[str, Any]) -> Text | None:
    """Loads the text a model was trained on; None where it is not there. UserError for another."""
    try:
        text = load_text(data)
    except UserError:
        return None
    if change := describe_change(content, {"alphabet": text.alphabet} | text.fingerprint()):
        raise UserError(f"data/{data.name} is not the text this model was trained on: {change}")
    return text


def choose_passages(
    args: argparse.Namespace, text: Text | None, loaded: Loaded
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Takes the prompt that was given, or evenly spaced passages of the text: prompt, original.

    UserError for an empty prompt, or where there is neither.
    """
    if args.prompt is not None:
        prompt = encode(args.prompt, loaded.content["alphabet"])
        if len(prompt) == 0:
            raise UserError("--prompt is empty: give at least one character")
        return [(prompt, None)] * args.num_samples
    if text is None:
        raise UserError(
            f"data/{loaded.config.data.name} is not there: prepare it with data_preparation.py, "
            "or give a --prompt"
        )
    source, window = getattr(text, args.split), args.prompt_length + args.length
    places = space_evenly(len(source), args.num_samples, window)
    passages = [source[place : place + window].astype(np.int64) for place in places]
    return [torch.from_numpy(codes).tensor_split([args.prompt_length]) for codes in passages]


def show_samples(title: str, loaded: Loaded, args: argparse.Namespace) -> None:
    """Prints what was fed in, the original and what the model writes; then one line of numbers."""
    model, config, content = loaded
    alphabet, data = content["alphabet"], config.data
    text = find_text(data, content)
    passages = choose_passages(args, text, loaded)
    print(f"{title} {args.ckpt_name}, epoch {content['epoch']}, trained on data/{data.name}\n")
    exact = []
    for index, (prompt, original) in enumerate(passages):
        how = {"temperature": args.temperature, "top_k": args.top_k, "seed": args.seed + index}
        written, restarts = write(model, prompt, args.length, **how)
        print(f"Initialization:\n{decode(prompt, alphabet)}\n")
        if original is not None:
            print(f"Original:\n{decode(original, alphabet)}\n")
            exact.append((written == original).double().mean().item())
        print(f"{title}:\n{decode(written, alphabet)}\n")
        if restarts:
            print(f"(positions ended {restarts} times: started anew from the last half of them)\n")
    if exact:
        print(f"{100 * np.mean(exact):.1f} % of the characters written are the original's")
    if text is None:
        print(f"validation: data/{data.name} is not there, so no numbers")
    else:
        print(describe_score(model, text.validation))
