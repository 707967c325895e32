"""Real data for tests and benchmarks: data/raw/, filled from a folder beside the repository.

Where a class keeps its data sets in `shared/data` next to the repository, they are linked into
data/raw/ (copied where links are not allowed), so that nothing has to be downloaded.
"""

import shutil
from pathlib import Path

from utils import files
from utils.images.mnist import FILES


def raw_data(name: str) -> Path | None:
    """data/raw/<name> ("tinyshakespeare.txt", ...), or None where it is nowhere to be found."""
    path = files.ROOT / "data" / "raw" / name
    source = files.ROOT.parent / "shared" / "data" / name
    if not path.exists() and source.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.symlink_to(source.resolve())
        except OSError:  # Windows, without the right to make links
            shutil.copyfile(source, path)
    return path if path.exists() else None


def mnist_at_hand() -> bool:
    """Whether MNIST needs no download: for tests and benchmarks, which may link it from beside."""
    names = [raw_data(f"MNIST/raw/{name}.gz") or raw_data(f"MNIST/raw/{name}") for name in FILES]
    return None not in names
