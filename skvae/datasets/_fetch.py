"""Find a file in the data folder, or download it."""

from pathlib import Path

# sklearn.datasets brings scipy.io and more with it: imported where a file is fetched,
# so that `import skvae` stays quick.


def data_folder(data_home, folder):
    """Path of the folder of a data set; `data_home` None is that of scikit-learn."""
    from sklearn.datasets import get_data_home

    return Path(get_data_home(data_home)) / folder


def cached_file(url, folder, *, data_home, download_if_missing, sha256=None):
    """Path of a data file, downloaded once.

    A file that is already there is taken as it is, without looking at the network.

    Parameters
    ----------
    url : str
        Where the file comes from; its last part is the local file name.
    folder : str
        Folder of the data set inside `data_home`.
    data_home : str, path-like or None
        Folder of all data sets; None is that of scikit-learn.
    download_if_missing : bool
        Whether to download, or to raise OSError, when the file is not there.
    sha256 : str, default=None
        Checksum which a download must have; None checks nothing but its length, where
        the server tells that.

    Returns
    -------
    path : Path
        The local file. It is there whole or not at all: a download gets this name when
        it is complete and its checksum right.

    Raises
    ------
    OSError
        If the file is missing and is not to be downloaded, or cannot be.
    """
    from http.client import HTTPException

    from sklearn.datasets import fetch_file

    path = data_folder(data_home, folder) / url.rpartition("/")[2]
    if path.is_file():
        return path
    if not download_if_missing:
        raise OSError(
            f"{path} does not exist and download_if_missing=False; pass "
            f"download_if_missing=True, or download {url} to that place."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return Path(
            fetch_file(url, folder=path.parent, local_filename=path.name, sha256=sha256)
        )
    except (OSError, HTTPException) as error:
        raise OSError(
            f"{url} could not be downloaded ({error}); download it by other means to "
            f"{path} and call again."
        ) from error
