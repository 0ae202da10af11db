"""Saving onto and loading from what is no regular file; modes and names of files."""

import os
import pickle
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from skvae import MultVAERecommender, load_model, save_model
from tests.saving.models import X, assert_same, fitted

unix = pytest.mark.skipif(os.name != "posix", reason="needs the files of Unix")


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def make_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only the superuser makes device nodes")


def make_link_to_device(path):
    make_device(path.with_name("device"))
    path.symlink_to("device")


def make_loop(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def make_folder(path):
    path.mkdir()


@unix
@pytest.mark.parametrize(
    "make",
    [
        make_pipe,
        make_socket,
        make_device,
        make_link_to_device,
        make_loop,
        make_folder,
    ],
)
def test_only_regular_files_are_replaced_and_read(make, path):
    make(path)
    before = os.lstat(path)
    names = sorted(os.listdir(path.parent))
    with pytest.raises(OSError, match="model.safetensors"):
        save_model(fitted("mult"), path)
    with pytest.raises(OSError, match="model.safetensors"):
        load_model(path)
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert sorted(os.listdir(path.parent)) == names


@unix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666])
def test_a_save_keeps_the_mode_of_the_file_that_it_replaces(mode, path, monkeypatch):
    save_model(fitted("mult"), path)
    path.chmod(mode)
    modes = []
    fsync = os.fsync

    def look(descriptor):
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            modes.append(stat.S_IMODE(found.st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    save_model(fitted("mult-dae"), path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert not modes[0] & ~mode  # nor can others read what is being written
    assert load_model(path).variational is False


@unix
def test_a_link_to_a_missing_file_becomes_a_link_to_the_model(path):
    target = path.with_name("target")
    path.symlink_to(target)
    save_model(fitted("mult"), path)
    assert path.is_symlink()
    assert target.is_file()
    assert_same(load_model(path).transform(X), fitted("mult").transform(X))


CONCURRENT = """
import os, pickle, sys
from skvae import load_model, save_model

folder = sys.argv[1]
path = os.path.join(folder, "model")
models = [pickle.load(open(os.path.join(folder, name), "rb")) for name in "ab"]
save_model(models[0], path)
children = []
for model in models:
    child = os.fork()
    if not child:
        for _ in range(60):
            save_model(model, path)
        os._exit(0)
    children.append(child)
n_loads, seen = 0, set()
while children:
    seen.add(load_model(path).random_state)
    n_loads += 1
    for child in list(children):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            children.remove(child)
            assert status == 0, status
assert n_loads > 20, n_loads
assert seen <= {1, 2}, seen
assert sorted(os.listdir(folder)) == ["a", "b", "model"], os.listdir(folder)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_saves_and_loads_of_one_path_at_the_same_time(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        model = MultVAERecommender(60, max_iter=1, random_state=seed).fit(X)
        (tmp_path / name).write_bytes(pickle.dumps(model))
    subprocess.run(
        [sys.executable, "-c", CONCURRENT, str(tmp_path)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize("length", [200, 234, 255])
def test_names_of_every_length_that_the_system_allows(length, tmp_path):
    path = tmp_path / ("ä" * 90 + "m" * (length - 180))
    assert len(os.fsencode(path.name)) == length
    for name in ("mult", "mult-dae"):
        save_model(fitted(name), path)
    assert load_model(path).variational is False
    assert os.listdir(tmp_path) == [path.name]


@unix
def test_a_folder_that_cannot_be_listed(request):
    """It may be written to, but its entry cannot be forced to the disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        Path(folder).chmod(0o300)
        if os.geteuid() == 0:  # whom permissions do not bind
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
            request.addfinalizer(lambda: os.seteuid(0))
        try:
            with pytest.raises(PermissionError):
                os.listdir(folder)
            save_model(fitted("mult"), path)
            save_model(fitted("mult-dae"), path)
            assert load_model(path).variational is False
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            Path(folder).chmod(0o700)
        assert os.listdir(folder) == ["model"]
