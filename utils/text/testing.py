"""What a trained model writes and how well it predicts: behind the text models' test.py."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from utils.command_line import Parser, model_options, number
from utils.config import read_json
from utils.errors import UserError
from utils.text.data import Text, decode, encode, load_text
from utils.text.protocol import places
from utils.text.streaming import block_score, stream_score, write
from utils.text.training import built, config_type, score_line
from utils.training.run import load_model


def options(description: str, default_run: str) -> Parser:
    """The options that every text model's test.py has."""
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    model_options(parser, default_run)
    text = parser.add_argument_group("the text")
    text.add_argument("--prompt", metavar="TEXT", help="write on from this, not from the data")
    text.add_argument(
        "--split",
        choices=("training", "validation"),
        default="validation",
        help="where prompts come from, evenly spaced (default: validation)",
    )
    text.add_argument("--num_samples", type=number(int, 1), default=3, help="default: 3")
    text.add_argument(
        "--prompt_length", type=number(int, 1), default=30, help="characters fed in (default: 30)"
    )
    text.add_argument(
        "--length", type=number(int, 1), default=100, help="characters written (default: 100)"
    )
    text.add_argument(
        "--temperature",
        type=number(float, 0),
        default=0.7,
        help="0 takes the likeliest character, 1 draws by the model's probabilities (default: 0.7)",
    )
    text.add_argument("--top_k", type=number(int, 1), help="draw among the k likeliest only")
    text.add_argument("--seed", type=number(int, 0), default=0, help="same seed, same text")
    return parser


def load_text_model(
    kind: str,
    run: str,
    epoch: str | None,
    build: Callable[[Any, list[str]], nn.Module],
    model_config: type,
    device: str = "auto",
) -> tuple[nn.Module, Any, dict[str, Any]]:
    """utils.run.load_model for a model that is built for an alphabet."""
    return load_model(
        kind,
        run,
        epoch,
        config_type(model_config),
        lambda config, content: built(build, config.model, content["alphabet"]),
        device,
    )


def text_of(config: Any, content: dict[str, Any]) -> Text | None:
    """The text a checkpoint was trained on, or None where it is not there (as on another machine).

    UserError where data of that name is there, but of another alphabet.
    """
    try:
        text = load_text(config.data)
    except UserError:
        return None
    if text.alphabet != content["alphabet"]:
        raise UserError(f"data/{config.data.name} is not the text this model was trained on")
    return text


def test(
    kind: str,
    title: str,
    build: Callable[[Any, list[str]], nn.Module],
    model_config: type,
    config_file: Path,
    description: str,
    argv: list[str] | None,
) -> None:
    """The whole of a test.py: prints samples beside the original, then one line of numbers."""
    parser = options(description, read_json(config_file)["model"]["name"])
    args = parser.parse_args(argv)
    model, config, content = load_text_model(
        kind, args.ckpt_name, args.epoch, build, model_config, args.device
    )
    alphabet = content["alphabet"]
    text = text_of(config, content)
    if args.prompt is not None:
        prompt = encode(args.prompt, alphabet)
        if len(prompt) == 0:
            raise UserError("--prompt is empty: give at least one character")
        passages = [(prompt, None)] * args.num_samples
    elif text is None:
        raise UserError(
            f"data/{config.data.name} is not there: prepare it with data_preparation.py, "
            "or give a --prompt"
        )
    else:
        source, window = getattr(text, args.split), args.prompt_length + args.length
        passages = []
        for place in places(len(source), args.num_samples, window):
            codes = torch.from_numpy(np.asarray(source[place : place + window], dtype=np.int64))
            passages.append((codes[: args.prompt_length], codes[args.prompt_length :]))

    print(
        f"{title} {args.ckpt_name}, epoch {content['epoch']}, trained on data/{config.data.name}\n"
    )
    exact = []
    for index, (prompt, original) in enumerate(passages):
        written, restarts = write(
            model,
            prompt,
            args.length,
            temperature=args.temperature,
            top_k=args.top_k,
            seed=args.seed + index,
        )
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
        print(f"validation: data/{config.data.name} is not there, so no numbers")
    else:
        nats, right = stream_score(model, text.validation)
        print(score_line(nats, right, block_score(model, text.validation)))
