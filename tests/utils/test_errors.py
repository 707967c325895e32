"""How a command ends when those who read its output have gone."""

import subprocess
import sys

from tests.helpers.repository import REPOSITORY


def test_a_reader_that_has_gone_is_no_error():
    code = (
        "from utils.errors import command\n"
        "main = command(lambda argv: [print('line', flush=True) for _ in range(100_000)])\n"
        "raise SystemExit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
