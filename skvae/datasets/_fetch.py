"""Find a file in the data folder, or download it."""

from pathlib import Path

# sklearn.datasets imports scipy.io and more. It is imported only when a file is
# fetched, so that `import skvae` stays fast.


def data_folder(data_home, folder):
    """Return the folder of a data set; `data_home` None is scikit-learn's folder."""
    from sklearn.datasets import get_data_home

    return Path(get_data_home(data_home)) / folder


def cached_file(url, folder, *, data_home, download_if_missing, sha256=None):
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
    sha256 : str, default=None
        Checksum that a download must have. None checks only its length, if the server
        sends it.

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

    from sklearn.datasets import fetch_file

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
        return Path(
            fetch_file(url, folder=path.parent, local_filename=path.name, sha256=sha256)
        )
    except (OSError, HTTPException) as error:
        raise OSError(
            f"{url} could not be downloaded ({error}); download it by other means to "
            f"{path} and call the function again."
        ) from error
