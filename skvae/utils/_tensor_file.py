"""A JSON document and named tensors in one safetensors file, written atomically."""

import errno
import glob
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress

import torch

try:
    import fcntl
except ImportError:  # on Windows, where a file that is open cannot be removed
    # mypy takes the name for that of a module, which None is not.
    fcntl = None  # type: ignore[assignment]

# Keys of the metadata of a file: its format, its document and its hash.
FORMAT, DOCUMENT, HASH = "format", "document", "sha256"
THIS_FORMAT = "skvae 1"
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
BY_NAME = {name: dtype for dtype, name in DTYPES.items()}
MAX_HEADER = 100_000_000  # bytes, as in the format
MAX_DIMENSIONS = 64  # of a tensor, in torch
MAX_NAME = 100  # bytes of a name that is part of the name of a temporary file


def write_tensor_file(path, document, tensors):
    """Write a document and tensors to `path`, replacing an existing file.

    The file is replaced atomically: `path` always holds either the complete old file or
    the complete new one. The new file has the mode of the old one. Temporary files of
    killed processes that wrote to the same path are removed.

    Parameters
    ----------
    path : str
        Path of the file.
    document : dict
        A dict that can be converted to JSON.
    tensors : dict of str to Tensor
        The tensors by name. Those on the CPU that are contiguous are not copied.

    Raises
    ------
    OSError
        If the file cannot be written, or if `path` exists and is no regular file or
        link to one.
    """
    _check_types(tensors)
    document = json.dumps(document, allow_nan=False)
    # Sorted by decreasing item size, so that each tensor is aligned in the file.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    tensors = {name: tensors[name].detach().cpu().contiguous() for name in names}
    header = {
        "__metadata__": {
            FORMAT: THIS_FORMAT,
            DOCUMENT: document,
            HASH: _hash(document, tensors),
        }
    }
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    with _replacing(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for tensor in tensors.values():
            file.write(_bytes_of(tensor))


def read_tensor_file(path):
    """Read a file that `write_tensor_file` wrote.

    A damaged or malicious file cannot make it allocate more memory than the file is
    long. The file is opened once and not mapped to memory, so that another process may
    replace or truncate it at any time.

    Parameters
    ----------
    path : str
        Path of the file.

    Returns
    -------
    document : object
        The parsed JSON, not validated further.
    tensors : dict of str to Tensor
        Tensors on the CPU, each with memory of its own.

    Raises
    ------
    OSError
        If the file cannot be opened, or is no regular file.
    ValueError
        If the file has another format or is damaged. The message is the second half
        of a sentence; the caller prepends the name of the file.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        _check_regular(status, path)
        metadata, entries = _read_header(file, status.st_size)
        tensors = {name: _read_tensor(file, *entry) for name, *entry in entries}
    if metadata.keys() != {FORMAT, DOCUMENT, HASH}:
        raise ValueError(
            f"its metadata are {sorted(metadata)}, not {[DOCUMENT, FORMAT, HASH]}"
        )
    if _hash(metadata[DOCUMENT], tensors) != metadata[HASH]:
        raise ValueError("its content does not have the hash that it states")
    return parse_json(metadata[DOCUMENT]), tensors


def _read_header(file, size):
    """Read the header of a file of `size` bytes.

    Returns
    -------
    metadata : dict
        Of text, with the key `FORMAT`.
    entries : list of (str, torch.dtype, list of int)
        Name, type and shape of each tensor, in the order in which they fill the rest
        of the file.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(size - 8, MAX_HEADER):
        raise ValueError("it is damaged or not a model file (it has no header)")
    try:
        header = parse_json(file.read(length))
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise TypeError("its metadata are not text")
        if metadata.get(FORMAT) == THIS_FORMAT:
            return metadata, _entries(header, size - 8 - length)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"it is damaged or not a model file ({error})") from error
    raise ValueError(
        f"it states the format {metadata.get(FORMAT)!r}, but this version of skvae "
        f"reads {THIS_FORMAT!r}; save the model again"
    )


def _entries(header, size):
    """List name, type and shape of the tensors that fill `size` bytes exactly."""
    found, place = [], 0
    for name, entry in sorted(header.items(), key=lambda e: e[1]["data_offsets"]):
        dtype, shape, (begin, end) = map(entry.get, ("dtype", "shape", "data_offsets"))
        numbers = (*shape, begin, end)
        if len(numbers) > MAX_DIMENSIONS + 2 or not all(
            type(number) is int and 0 <= number < 2**63 for number in numbers
        ):
            raise ValueError(f"the shape or place of {name!r} is not possible")
        length = math.prod(shape) * BY_NAME[dtype].itemsize
        if begin != place or end != begin + length:
            raise ValueError(f"{name!r} is not in its place")
        found.append((name, BY_NAME[dtype], shape))
        place = end
    if place != size:
        raise ValueError(f"it has {size} bytes of tensors instead of {place}")
    return found


def _read_tensor(file, dtype, shape):
    """Read the next tensor of a file."""
    try:
        tensor = torch.empty(shape, dtype=dtype)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"a tensor has the shape {shape[:9]} ({error})") from error
    memory = _bytes_of(tensor)
    if tensor.numel() and file.readinto(memory) < tensor.nbytes:
        raise ValueError("it was truncated while it was read")
    if dtype is torch.bool and tensor.numel() and memory.max() > 1:
        raise ValueError("a truth value in it is neither 0 nor 1")
    return tensor


def under(prefix, tensors):
    """Tensors whose names begin with a prefix, by the rest of the name."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def layout_of(tensors, prefix=""):
    """Type and shape of each tensor, by its name after a prefix."""
    return {prefix + name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()}


def check_layout(tensors, expected):
    """Raise a ValueError unless tensors have exactly these names, types and shapes.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Tensors of a file.
    expected : dict of str to (torch.dtype, tuple of int)
        As `layout_of` returns it.
    """
    found = layout_of(tensors)
    for what, names in {
        "lacks": expected.keys() - found.keys(),
        "has no place for": found.keys() - expected.keys(),
    }.items():
        if names:
            raise ValueError(f"it {what} the tensor {min(names)!r}")
    for name, layout in expected.items():
        if found[name] != layout:
            raise ValueError(
                f"its tensor {name!r} has the type and shape {found[name]}, where "
                f"its parameters require {layout}"
            )


def parse_json(text):
    """Parse JSON; refuse NaN, infinity and duplicate keys.

    Parameters
    ----------
    text : str or bytes
        JSON, in UTF-8.

    Raises
    ------
    ValueError
        If it is not JSON, if it holds such values or keys, or if it is nested too
        deeply.
    """
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def _refuse_constant(name):
    raise ValueError(f"its JSON holds {name}")


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"its JSON holds {text[:40]}, which is not finite")
    return value


def _unique(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("its JSON holds a key twice")
    return values


def _check_types(tensors):
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
            raise ValueError(
                f"{name} is a tensor of {tensor.dtype} and {tensor.layout}, which "
                "model files do not support"
            )


def _bytes_of(tensor):
    """Return the memory of a contiguous tensor on the CPU as a buffer of bytes."""
    if tensor.numel() == 0:
        return b""  # the strides of an empty tensor may not be viewed as bytes
    return tensor.reshape(-1).view(torch.uint8).numpy()


def _hash(document, tensors):
    """Compute SHA-256 of the document and of each tensor's name, type, shape, bytes."""
    names = sorted(tensors)
    layout = [[n, DTYPES[tensors[n].dtype], list(tensors[n].shape)] for n in names]
    digest = hashlib.sha256(json.dumps([document, layout]).encode())
    for name in names:
        digest.update(_bytes_of(tensors[name]))
    return digest.hexdigest()


def _without_waiting(path, flags):
    """Open a file, as `open` does; a pipe without waiting for who writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(status, path):
    """Raise an OSError if what is at `path` is no regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise shutil.SpecialFileError(
            f"{path} is not a regular file but a device, a pipe or a socket; pass the "
            "path of a file."
        )


@contextmanager
def _replacing(path):
    """Open a temporary file that replaces `path` at the end of the block."""
    mode = None
    with suppress(FileNotFoundError):
        status = os.stat(path)
        _check_regular(status, path)
        mode = stat.S_IMODE(status.st_mode)
    path = os.path.realpath(path)  # a link is kept, and its target is replaced
    folder, name = os.path.split(path)
    if len(os.fsencode(name)) > MAX_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    prefix = os.path.join(folder, f".{name}.")
    _remove_abandoned(prefix)
    file = _open_temporary(prefix, 0o666 if mode is None else 0o600)
    try:
        with file:
            yield file
            if mode is not None:
                os.chmod(file.name, mode)
            file.flush()
            os.fsync(file.fileno())
            if fcntl:
                os.replace(file.name, path)  # before its lock is released
        if not fcntl:
            os.replace(file.name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(file.name)
        raise
    _sync_folder(folder)


# A process locks the temporary file that it writes. The system releases the lock when
# the process ends, so that a file which can be locked was left by a process that died.


def _open_temporary(prefix, mode):
    while True:
        file = open(
            f"{prefix}{secrets.token_hex(8)}.tmp",
            "xb",
            opener=lambda path, flags: os.open(path, flags, mode),
        )
        # Another process may have taken it for abandoned before it was locked.
        if _lock(file.fileno()) is not False and os.path.exists(file.name):
            return file
        file.close()


def _remove_abandoned(prefix):
    """Remove temporary files that killed processes have left."""
    for path in glob.glob(f"{glob.escape(prefix)}{'[0-9a-f]' * 16}.tmp"):
        with suppress(OSError):
            if fcntl is None:
                os.remove(path)  # raises an error if it is open
                continue
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _lock(descriptor):
                    os.remove(path)
            finally:
                os.close(descriptor)


def _lock(descriptor):
    """Lock a file: True if done, False if another process has it, None if unknown."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return None
    return True


def _sync_folder(folder):
    """Force the name of a new file to the disk, so that it survives a loss of power."""
    if os.name != "posix":  # other systems cannot open folders
        return
    with suppress(PermissionError):  # it may be written to, but not read
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
