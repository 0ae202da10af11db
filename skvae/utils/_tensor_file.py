"""A JSON document and named tensors in one safetensors file, written atomically."""

import hashlib
import json
import math
import os
import secrets
from contextlib import contextmanager

import torch
from safetensors import SafetensorError, safe_open

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


def write_tensor_file(path, document, tensors):
    """Write a document and tensors to `path`, replacing an existing file.

    The file is replaced atomically: `path` always holds either the complete old file or
    the complete new one.

    Parameters
    ----------
    path : str
        Path of the file.
    document : dict
        A dict that can be converted to JSON.
    tensors : dict of str to Tensor
        The tensors by name. Those on the CPU that are contiguous are not copied.
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
    long.

    Parameters
    ----------
    path : str
        Path of the file.

    Returns
    -------
    document : object
        The parsed JSON, not validated further.
    tensors : dict of str to Tensor
        Tensors on the CPU that do not share the memory of the file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file has another format or is damaged. The message is the second half
        of a sentence; the caller prepends the name of the file.
    """
    with open(path, "rb") as file:
        try:
            with safe_open(path, framework="pt") as opened:
                metadata = opened.metadata() or {}
                if metadata.get(FORMAT) != THIS_FORMAT:
                    raise ValueError(
                        f"it states the format {metadata.get(FORMAT)!r}, but this "
                        f"version of skvae reads {THIS_FORMAT!r}; save the model again"
                    )
                # Copies: a later change of the mapped file would change the weights.
                tensors = {
                    name: opened.get_tensor(name).clone() for name in opened.keys()
                }
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"it is damaged or not a model file ({error})") from error
        # This refuses duplicate names, of which safetensors would take the last.
        parse_json(file.read(int.from_bytes(file.read(8), "little")))
    _check_types(tensors)
    if set(metadata) != {FORMAT, DOCUMENT, HASH}:
        raise ValueError(
            f"its metadata are {sorted(metadata)}, not {[DOCUMENT, FORMAT, HASH]}"
        )
    if _hash(metadata[DOCUMENT], tensors) != metadata[HASH]:
        raise ValueError("its content does not have the hash that it states")
    return parse_json(metadata[DOCUMENT]), tensors


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


@contextmanager
def _replacing(path):
    """Open a temporary file that replaces `path` at the end of the block."""
    path = os.path.realpath(path)  # a link is kept, and its target is replaced
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
    if os.name == "posix":  # other systems cannot open folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # so that the new name survives a loss of power
        finally:
            os.close(descriptor)
