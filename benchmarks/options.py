"""The options of benchmarks, so that one that several of them have is written once.

parser = make_parser(__doc__)
add_number(parser, "--epochs", 10, "epochs of each training")
args = parser.parse_args(argv)
"""

from utils.command_line import Parser, number


def make_parser(description: str | None) -> Parser:
    """Makes a parser with --quick, which every benchmark has."""
    parser = Parser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a little of everything: does it work?"
    )
    return parser


def add_number(parser: Parser, option: str, default: int, meaning: str, low: int = 1) -> None:
    """Adds an option whose value is a whole number from `low` on."""
    help = f"{meaning} (default: {default})"
    parser.add_argument(option, type=number(int, low), default=default, help=help)
