"""Write a result file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from margincover.errors import InputError


def write_atomically(path: Path | str, content: str | bytes, *, option: str = "--html/--json FILE") -> None:
    """Write ``content`` to ``path`` through a temporary file in the same folder.

    A reader sees the old file or the new one, never a part. Text is written as UTF-8. A symbolic link keeps pointing
    to its target, which is replaced.

    Parameters
    ----------
    path : path of the file to write.
    content : str or bytes
    option : str
        Name of the command-line option that gave the path, for the message.

    Raises
    ------
    InputError
        If the folder is missing, the path is a folder or no ordinary file, or writing is not permitted or fails.
        Nothing is left behind then.
    """
    target = require_target(path, option=option)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        # O_EXCL: never write into a file that someone else made under this name.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                os.chmod(temporary, target.stat().st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except PermissionError:
        raise InputError(
            "no permission to write there", source=str(path), field=option, allowed="a file in a writable folder"
        ) from None
    except OSError as error:
        raise InputError(
            f"could not be written ({error.strerror})", source=str(path), field=option, allowed="a writable file"
        ) from error


def require_target(path: Path | str, *, option: str = "--html/--json FILE") -> Path:
    """Return the real path of a file that can be written, so that long work does not end in a refusal.

    Raises
    ------
    InputError
        If the folder is missing, or the path is a folder or no ordinary file.
    """
    target, shown = Path(os.path.realpath(path)), str(path)
    try:
        if target.is_dir():
            raise InputError("was a directory", source=shown, field=option, allowed="the name of a file")
        if target.exists() and not target.is_file():
            raise InputError("was not an ordinary file", source=shown, field=option, allowed="the name of a file")
        if not target.parent.is_dir():
            raise InputError(
                f"the folder {target.parent} does not exist",
                source=shown,
                field=option,
                allowed="a file in an existing folder",
            )
    except (OSError, ValueError) as error:
        raise InputError(f"was not a usable path ({error})", source=shown, field=option) from error
    return target
