"""A JSON document and named tensors in one safetensors file, written atomically."""

import hashlib
import json
import math
import os
import secrets
from contextlib import contextmanager

import torch
from safetensors import SafetensorError, safe_open

# Names of a file's metadata, which hold text: what it is, its document, its hash.
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


def write_tensor_file(path, document, tensors):
    """Write a document and tensors to `path`, replacing the file that is there.

    At every moment `path` holds the old file or the whole new one.

    Parameters
    ----------
    path : str
        Path of the file.
    document : dict
        Of values that JSON can hold.
    tensors : dict of str to Tensor
        Written from their memory where they are on the CPU and contiguous.
    """
    _check_types(tensors)
    document = json.dumps(document, allow_nan=False)
    # The widest types first, so that each tensor is aligned in the file.
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
    """Read what `write_tensor_file` wrote.

    Whatever the file claims, no more memory is allocated than it is long.

    Parameters
    ----------
    path : str
        Path of the file.

    Returns
    -------
    document : object
        As JSON gives it, not checked further.
    tensors : dict of str to Tensor
        On the CPU, in memory of their own.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not such a file, or damaged. The message is the second half of a
        sentence, for the caller to put the name of the file before it.
    """
    with open(path, "rb") as file:
        try:
            with safe_open(path, framework="pt") as opened:
                metadata = opened.metadata() or {}
                if metadata.get(FORMAT) != THIS_FORMAT:
                    raise ValueError(
                        f"it states the format {metadata.get(FORMAT)!r}, and this "
                        f"version of skvae reads {THIS_FORMAT!r}; save the model anew"
                    )
                # Copies, as later changes of a mapped file would show in the weights.
                tensors = {
                    name: opened.get_tensor(name).clone() for name in opened.keys()
                }
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"it is damaged or not a model file ({error})") from error
        # safetensors takes the last of two values under one name.
        parse_json(file.read(int.from_bytes(file.read(8), "little")))
    _check_types(tensors)
    if set(metadata) != {FORMAT, DOCUMENT, HASH}:
        raise ValueError(
            f"its metadata are {sorted(metadata)}, not {[DOCUMENT, FORMAT, HASH]}"
        )
    if _hash(metadata[DOCUMENT], tensors) != metadata[HASH]:
        raise ValueError("its content does not have the hash that it states")
    return parse_json(metadata[DOCUMENT]), tensors


def parse_json(text):
    """Parse JSON that is strict: no NaN, no infinity, no key twice.

    Parameters
    ----------
    text : str or bytes
        JSON, in UTF-8.

    Raises
    ------
    ValueError
        If it is not JSON, or not strict, or nested too deep.
    """
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise ValueError("its JSON is nested too deep") from None


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
                "model files do not hold"
            )


def _bytes_of(tensor):
    """The memory of a contiguous tensor on the CPU, as a buffer of bytes."""
    if tensor.numel() == 0:
        return b""  # without strides that torch would take for those of bytes
    return tensor.reshape(-1).view(torch.uint8).numpy()


def _hash(document, tensors):
    """SHA-256 of the document and of every tensor's name, type, shape and bytes."""
    names = sorted(tensors)
    layout = [[n, DTYPES[tensors[n].dtype], list(tensors[n].shape)] for n in names]
    digest = hashlib.sha256(json.dumps([document, layout]).encode())
    for name in names:
        digest.update(_bytes_of(tensors[name]))
    return digest.hexdigest()


@contextmanager
def _replacing(path):
    """Open a new file beside `path` that takes its place when the block has ended."""
    path = os.path.realpath(path)  # a link stays, and what it points to is replaced
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
    if os.name == "posix":  # elsewhere folders cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # the name too outlasts a loss of power
        finally:
            os.close(descriptor)
