"""Find a file in the data folder, or download it."""

import hashlib
import os
import tempfile
import time
import warnings
from pathlib import Path

# Seconds to wait for a server that sends nothing.
TIMEOUT = 60
N_RETRIES = 3
SIGNATURES = {".zip": b"PK\3\4", ".gz": b"\x1f\x8b"}

# sklearn.datasets and urllib.request import much. They are imported only when a file is
# fetched, so that `import skvae` stays fast.


def data_folder(data_home, folder):
    """Return the folder of a data set; `data_home` None is scikit-learn's folder."""
    from sklearn.datasets import get_data_home

    return Path(get_data_home(data_home)) / folder


def cached_file(url, folder, *, data_home, download_if_missing, max_bytes, sha256=None):
    """Return the path of a data file, downloading it if necessary.

    A file that is already in the folder is used as it is, without network access.

    Parameters
    ----------
    url : str
        Address of the file; its last part is the local file name.
    folder : str
        Folder of the data set inside `data_home`.
    data_home : str, path-like or None
        Folder of all data sets; None stands for the folder of scikit-learn.
    download_if_missing : bool
        Whether to download a missing file; if False, an OSError is raised.
    max_bytes : int
        Number of bytes after which a download is given up.
    sha256 : str, default=None
        Checksum that a download must have. None checks only its start, and its length
        if the server sends it.

    Returns
    -------
    path : Path
        The local file. It is never incomplete: a download gets this name only when it
        is complete and its checksum is correct.

    Raises
    ------
    OSError
        If the file is missing and `download_if_missing` is False, or if the download
        fails.
    """
    from http.client import HTTPException

    path = data_folder(data_home, folder) / url.rpartition("/")[2]
    if path.is_file():
        return path
    if not download_if_missing:
        raise OSError(
            f"{path} does not exist and download_if_missing=False; pass "
            f"download_if_missing=True, or download {url} to this path."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return fetch_file(url, path.parent, path.name, max_bytes, sha256)
    except (OSError, HTTPException) as error:
        raise OSError(
            f"{url} could not be downloaded ({error}); download it by other means to "
            f"{path} and call the function again."
        ) from error


def fetch_file(url, folder, local_filename, max_bytes, sha256=None):
    """Download a file, check it, give it its name, and return its path.

    In contrast to `sklearn.datasets.fetch_file`, a server that sends nothing or never
    ends is given up, and an error page is not kept as data.
    """
    path = folder / local_filename
    handle, part = tempfile.mkstemp(dir=folder, prefix=f"{local_filename}.part_")
    os.close(handle)
    try:
        found = _download(url, part, max_bytes)
        _check_start(part, path)
        if sha256 not in (None, found):
            raise OSError(
                f"the SHA256 checksum of {path.name} is {found}, and should be {sha256}"
            )
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
    return path


class _TooLong(OSError):
    """A server sends more than any version of the file can have."""


def _download(url, path, max_bytes):
    """Write the content of an address to `path`, and return its SHA256 checksum.

    An attempt that fails is repeated, except if the content is too long.
    """
    from http.client import HTTPException

    for n_left in reversed(range(N_RETRIES + 1)):
        try:
            return _attempt(url, path, max_bytes)
        except (OSError, HTTPException) as error:
            if isinstance(error, _TooLong) or not n_left:
                raise
            warnings.warn(f"Retry downloading from {url} ({error})", stacklevel=4)
            time.sleep(1)


def _attempt(url, path, max_bytes):
    import urllib.request

    digest, n_bytes = hashlib.sha256(), 0
    # This follows redirections only to http, https and ftp.
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        with open(path, "wb") as file:
            while block := answer.read(2**20):
                n_bytes += len(block)
                if n_bytes > max_bytes:
                    raise _TooLong(f"the server sent more than {max_bytes:,} bytes")
                file.write(block)
                digest.update(block)
        length = answer.headers.get("Content-Length")
    if (length or "").isdigit() and n_bytes < int(length):
        raise OSError(f"only {n_bytes} of {length} bytes arrived")
    return digest.hexdigest()


def _check_start(part, path):
    """Raise an OSError if a file starts like a web page or is not compressed."""
    with open(part, "rb") as file:
        start = file.read(64)
    signature = SIGNATURES.get(path.suffix)
    is_page = signature is None and start.lstrip().startswith(b"<")
    if is_page or not start.startswith(signature or b""):
        raise OSError(
            f"the content does not start like a {path.suffix} file but with {start!r}, "
            "as if the server had sent an error page"
        )
