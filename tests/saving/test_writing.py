"""A save replaces the old file completely or not at all."""

import os
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from skvae import (
    MultVAERecommender,
    load_model,
    save_model,
)
from skvae.utils import _tensor_file
from tests.saving.models import (
    X,
    assert_same,
    fitted,
)


def test_failed_save_leaves_only_the_old_file(path, monkeypatch):
    save_model(fitted("mult"), path)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        save_model(fitted("mult-dae"), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_file_has_the_mode_of_a_new_file_and_links_are_kept(path, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    link = tmp_path / "link"
    link.symlink_to(path)
    save_model(fitted("mult"), str(link))
    assert link.is_symlink()
    assert path.stat().st_mode == plain.stat().st_mode
    assert_same(load_model(link).transform(X), fitted("mult").transform(X))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_model(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_model(fitted("mult"), tmp_path / "nowhere" / "model")
    with pytest.raises(IsADirectoryError):
        load_model(tmp_path)


KILLED = """
import os, pickle, random, signal, sys, time
from skvae import load_model, save_model

folder = sys.argv[1]
path = os.path.join(folder, "model")
models = [pickle.load(open(os.path.join(folder, name), "rb")) for name in "ab"]
save_model(models[0], path)
random.seed(0)
fsync = os.fsync
for round in range(50):
    told, tell = os.pipe()
    n_saves = random.randint(1, 4)
    child = os.fork()
    if not child:
        if round % 2:  # killed in the middle of a write
            whole = iter(range(2 * n_saves - 2))  # of the file and of its folder
            def wait(file):
                if next(whole, None) is None:
                    os.write(tell, b"m")
                    time.sleep(600)
                fsync(file)
            os.fsync = wait
        while True:
            for model in models[:: (-1) ** round]:
                save_model(model, path)
                os.write(tell, b"s")
    if round % 2:
        while os.read(told, 1) != b"m":
            pass
    else:  # killed at any moment
        os.read(told, 1)
        time.sleep(random.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    print(load_model(path).random_state, round % 2, len(left))
save_model(models[0], path)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_saves_leave_the_old_or_the_new_model(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        model = MultVAERecommender(100, max_iter=1, random_state=seed)
        wide = sp.csr_array(np.tile(X.toarray(), 20))
        (tmp_path / name).write_bytes(pickle.dumps(model.fit(wide)))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    rounds = [line.split() for line in done.stdout.splitlines()]
    assert len(rounds) == 50
    assert {model for model, _, _ in rounds} == {"1", "2"}
    # Every second kill came in the middle of a write, and each save has removed what
    # was left of the one before.
    left = [n for _, in_the_middle, n in rounds if in_the_middle == "1"]
    assert left == ["1"] * 25
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "model"]


def temporary_of(path, digits):
    return path.with_name(f".{path.name}.{digits * 16}.tmp")


def test_only_what_killed_saves_of_the_same_name_have_left_is_removed(path):
    abandoned = temporary_of(path, "0")
    kept = [
        temporary_of(path, "n"),  # no temporary file of a save
        temporary_of(path.with_name("model"), "0"),
        temporary_of(path.with_name("another model.safetensors"), "0"),
        path.with_name(f".{path.name}.tmp"),
    ]
    for one in (abandoned, *kept):
        one.touch()
    save_model(fitted("mult"), path)
    assert set(path.parent.iterdir()) == {path, *kept}


def test_a_running_save_of_the_same_name_is_not_disturbed(path, monkeypatch):
    """Another one, in the middle of it, writes to a temporary file of its own."""
    fsync = os.fsync
    seen = []

    def save_the_other(descriptor):
        monkeypatch.setattr(os, "fsync", fsync)
        save_model(fitted("mult-dae"), path)
        seen.append(load_model(path).variational)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", save_the_other)
    save_model(fitted("mult"), path)
    assert seen == [False]
    assert load_model(path).variational is True
    assert os.listdir(path.parent) == [path.name]


def test_a_temporary_file_that_is_taken_for_abandoned_is_made_again(path, monkeypatch):
    """If another save removes it between its creation and its lock."""
    lock, names = _tensor_file._lock, []

    def removed_before(descriptor):
        if not names:
            names.extend(os.listdir(path.parent))
            os.remove(path.parent / names[0])
        return lock(descriptor)

    monkeypatch.setattr(_tensor_file, "_lock", removed_before)
    save_model(fitted("mult"), path)
    assert len(names) == 1
    assert os.listdir(path.parent) == [path.name]
    assert_same(load_model(path).transform(X), fitted("mult").transform(X))


@pytest.mark.skipif(_tensor_file.fcntl is None, reason="needs locks of files")
def test_without_locks_nothing_is_removed(path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError("Function not implemented")

    monkeypatch.setattr(_tensor_file.fcntl, "flock", unsupported)
    temporary_of(path, "0").touch()
    save_model(fitted("mult"), path)
    assert set(path.parent.iterdir()) == {path, temporary_of(path, "0")}


def test_weights_are_written_without_copies(path):
    wide = sp.csr_array(np.tile(X.toarray(), 40))
    model = MultVAERecommender(1000, max_iter=1, random_state=0).fit(wide)
    tracemalloc.start()
    try:
        save_model(model, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 12e6
    assert peak < 1e6
