"""Real data for tests and benchmarks: data/raw/, filled from a folder beside the repository.

Where a class keeps its data sets in `shared/data` next to the repository, they are linked into
data/raw/ (copied where links are not allowed), so that nothing has to be downloaded.
"""

import shutil
from pathlib import Path

from utils import files
from utils.images.mnist import FILES


def find_raw_data(name: str) -> Path | None:
    """Returns data/raw/<name> ("tinyshakespeare.txt", ...), or None where there is no such file."""
    path = files.ROOT / "data" / "raw" / name
    source = files.ROOT.parent / "shared" / "data" / name
    if not path.exists() and source.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.symlink_to(source.resolve())
        except OSError:  # Windows, without the right to make links
            shutil.copyfile(source, path)
    return path if path.exists() else None


def find_mnist() -> bool:
    """Links MNIST's four files into data/raw/, packed or not; tells whether all are there."""
    found = [find_raw_data(f"MNIST/raw/{n}.gz") or find_raw_data(f"MNIST/raw/{n}") for n in FILES]
    return None not in found
