"""Turn a run's best checkpoint into a small file that ships with the project.

    python benchmarks/trust/ship.py lstm "python models/lstm/train.py"

Writes pretrained/<run>.pt: the weights and what rebuilds the model, no optimiser, and the command
that trained it. Weights are stored in float16; loading turns them back into float32.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository root

from utils import files
from utils.command_line import Parser
from utils.errors import UserError, command
from utils.files import show
from utils.training import checkpoint


@command
def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("run", help="a run's name: a folder of checkpoints/")
    parser.add_argument("trained_by", help="the command that trained it, to be stored in the file")
    args = parser.parse_args(argv)
    source = files.checkpoint_folder(args.run) / "best.pt"
    if not source.is_file():
        raise UserError(f"{show(source)} is not there: train it first")
    content = checkpoint.load(source)
    content["model"] = {
        name: weight.half() if weight.is_floating_point() else weight
        for name, weight in content["model"].items()
    }
    content["trained_by"] = args.trained_by
    target = files.ROOT / "pretrained" / f"{args.run}.pt"
    checkpoint.save(target, content)
    print(f"{show(target)}: epoch {content['epoch']}, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    raise SystemExit(main())
