"""Ask a trained LSTM for the last digit of palindromes it has never seen.

    python models/palindrome/test.py                                    the shipped checkpoint
    python models/palindrome/test.py --num_samples 20 --seed 1

For each palindrome it prints what was read, the digit that comes last, and the digit predicted with
its probability; at the end, how many of the validation palindromes are right.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

import utils.start  # noqa: F401

import torch

from models.palindrome.data import validation_set
from models.palindrome.modules import Model
from models.palindrome.train import Config, score_validation
from utils.command_line import Parser, add_model_options, number
from utils.errors import command
from utils.training.checkpoint import load_model
from utils.training.device import evaluating
from utils.words import count


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    add_model_options(parser, "palindrome")
    parser.add_argument(
        "--num_samples", type=number(int, 1), default=5, help="palindromes shown (default: 5)"
    )
    parser.add_argument(
        "--seed", type=number(int, 0), default=0, help="same seed, same palindromes (default: 0)"
    )
    args = parser.parse_args(argv)
    model, config, content = load_model(
        Config, args.ckpt_name, args.epoch, lambda config, _: Model(config.model), args.device
    )
    held_out = torch.from_numpy(validation_set(config.model.T, config.data.validation))

    length = count(config.model.T + 1, "digit")
    print(f"LSTM {args.ckpt_name}, epoch {content['epoch']}, palindromes of {length}\n")
    order = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(args.seed))
    samples = held_out[order[: args.num_samples]]  # (N, T + 1)
    with evaluating(model) as device:
        likeliest = model(samples[:, :-1].to(device)).softmax(dim=1).max(dim=1)  # (N,) each
    predictions = zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
    for (*read, last), (probability, digit) in zip(samples.tolist(), predictions, strict=True):
        print(
            f"read {' '.join(map(str, read))}   last {last}   "
            f"predicted {digit} ({100 * probability:.1f} %){'' if digit == last else '   wrong'}"
        )
    nats, right = score_validation(model, held_out)
    print(
        f"\nvalidation: {100 * right:.2f} % of {count(len(held_out), 'last digit')} right, "
        f"{nats:.4f} nats each"
    )


if __name__ == "__main__":
    raise SystemExit(main())
