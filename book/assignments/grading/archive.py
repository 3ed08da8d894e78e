"""The files of a download, a zip or a folder. Their names are read, never followed: nothing is unpacked by its name.

Limits hold for what a zip says of itself; zipfile reads no more of a file than it says, and checks the sum.
"""

import os
import stat
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

LARGEST = 100 * 2**20  # bytes of one file
TOGETHER = 4 * 2**30  # bytes of all
RATIO, SMALL = 250, 2**20  # of what is above SMALL bytes nothing may be packed more tightly than this
MOST = 20_000  # files


class Entry(NamedTuple):
    path: str  # in the download, parts divided by /
    time: datetime | None  # of the file, in the time zone of whoever packed it
    read: Callable[[], bytes]  # ValueError, with a sentence, when it cannot be


def entries(download):
    """The files in `download`, and a sentence on each that is refused."""
    download = Path(download)
    found, refused, together = [], [], 0
    for count, (path, size, time, read, reason) in enumerate(
        in_folder(download) if download.is_dir() else in_zip(download)
    ):
        if count >= MOST:
            sys.exit(f"{download} holds more than {MOST} files: nothing was taken from it")
        path = path.replace("\\", "/")  # Windows
        if not reason and not Path(path).name.startswith((".", "__")) and "__MACOSX" not in path:
            reason = name_trouble(path) or (size > LARGEST and f"larger than {LARGEST // 2**20} MB")
            together += 0 if reason else size
            if together > TOGETHER:
                sys.exit(f"{download} holds more than {TOGETHER // 2**30} GB: nothing was taken from it")
            if not reason:
                found.append(Entry(path, time, read))
        if reason:
            refused.append(f"{shown(path)}: {reason}")
    return found, refused


def name_trouble(path):
    """Why a file of this name is refused; an empty string when it is not."""
    if path.startswith("/") or path[1:2] == ":":
        return "an absolute path"
    if ".." in path.split("/"):
        return "a path that leads out of its folder"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in path):
        return "invisible letters in its name"
    return ""


def shown(path):
    return path.encode("unicode_escape").decode() if not path.isprintable() else path


def in_folder(folder):
    for home, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(home, name))]
        folders[:] = sorted(set(folders) - set(links))
        for name in sorted([*names, *links]):
            path = Path(home, name)
            known, short = path.lstat(), path.relative_to(folder).as_posix()
            short = unicodedata.normalize("NFC", short.encode("utf-8", "replace").decode())
            reason = "" if stat.S_ISREG(known.st_mode) else "a link, or no ordinary file"
            yield short, known.st_size, datetime.fromtimestamp(known.st_mtime), path.read_bytes, reason


def in_zip(path):
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        sys.exit(f"{path} is no zip that can be read: {error}")
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}")
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() and kind in (0, stat.S_IFDIR):
            continue
        reason = ""
        if kind not in (0, stat.S_IFREG):
            reason = "a link, or no ordinary file"
        elif info.flag_bits & 1:
            reason = "it needs a password"
        elif info.file_size > SMALL and info.file_size > RATIO * info.compress_size:
            reason = f"packed more tightly than {RATIO} to 1, like a bomb"
        yield name_of(info), info.file_size, time_of(info), lambda info=info: unpacked(archive, info), reason


def name_of(info):
    """The name of a file in a zip. Where the zip does not say that it is UTF-8, it mostly is all the same."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return unicodedata.normalize("NFC", name)


def time_of(info):
    try:
        return datetime(*info.date_time)
    except ValueError:
        return None


def unpacked(archive, info):
    try:
        with archive.open(info) as file:
            return file.read(LARGEST + 1)
    except Exception as error:  # of many kinds, for as many ways to be broken
        raise ValueError(f"it cannot be unpacked: {type(error).__name__}: {error}") from error
