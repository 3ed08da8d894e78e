"""What a browser may be given of a student's notebook: text, and pictures that are PNG or JPEG. Nothing else.

Whoever marks is logged in at the server that shows the notebook, so a script in it could do all that they can. This is
the one place where that is prevented, before anything is stored: for what was handed in (`markdown`, `attachments`),
for what the code puts out (`outputs`), and for the files beside it (`is_shown`). It does not trust the pages that show
the notebook to clean it once more, though the formgrader and JupyterLab do.
"""

import base64
import binascii
import re

from nbformat import from_dict
from nbformat.v4 import new_output

LONGEST = 30_000  # characters of one text; some that are longer take minutes to lay out
LONGEST_OUTPUT = 100_000
PIXELS = 5 * 10**7  # of a picture: a browser holds four bytes for each, however small the file is
ALONE = {0x00, 0x01, 0xFF, *range(0xD0, 0xDA)}  # markers of a JPEG behind which there is no length
BEGINS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
TEXTS = {".py", ".txt", ".csv"}

# The only picture: a file of this name, attached or beside the notebook.
PICTURE = r"!\[[^\[\]<>&\\\n]*\]\((?P<attached>attachment:)?(?P<file>[\w.@+-]+\.(?:png|jpe?g))\)"
# What begins a tag or an entity, a link or its address, a picture, a diagram, or a TeX command that makes links, sets
# attributes of the page or loads more TeX. A space in it, and it is only text; formulas look the same.
ACTIVE = re.compile(
    rf"(?P<picture>{PICTURE})|<(?=[a-z/!?])|&(?=\#?\w+;)|!(?=\[)|\](?=[(:])"
    r"|(?P<diagram>(?<=[`~]{3})[ \t]*(?=mermaid))"
    r"|\\(?=href|url|require|html|css|class|style|data|bbox|mml|unicode|includegraphics|tooltip|texttip|toggle|action)",
    re.IGNORECASE,
)


def markdown(source, attached=()):
    """The Markdown `source` with its formulas and its formatting, and no HTML, links or pictures from elsewhere.

    A picture that is not among those `attached` would end the making of a page.
    """

    def defused(match):
        if match["picture"] and (not match["attached"] or match["file"] in attached):
            return match[0]
        if match["picture"]:
            return f"picture {match['file']}"
        return "text " if match["diagram"] is not None else f"{match[0]} "

    if len(source) > LONGEST:
        source = source[:LONGEST] + "\n\n(The rest of this cell is too long to be shown.)"
    return ACTIVE.sub(defused, source)


def attachments(given):
    """Of attachments {file name: {type: base64}} the pictures."""
    kept = {name: pictures(data) for name, data in given.items() if re.fullmatch(r"[\w.@+-]+", name)}
    return from_dict({name: data for name, data in kept.items() if data})


def pictures(data):
    """Of {type: content} what is a picture, and begins like one."""
    return {kind: text for kind in BEGINS if (text := picture(kind, data.get(kind)))}


def picture(kind, content):
    """The base64 `content` again, if it is one of a picture of this kind."""
    try:
        stored = base64.b64decode("".join(content.split()), validate=True)
    except (AttributeError, ValueError, binascii.Error):
        return None
    return base64.b64encode(stored).decode() if is_picture(kind, stored) else None


def is_picture(kind, content):
    """Whether `content` begins like a picture of this kind, and is not too large to be shown."""
    return content.startswith(BEGINS[kind]) and pixels(kind, content) <= PIXELS


def pixels(kind, content):
    """How many pixels a PNG or JPEG says that it has."""
    if kind == "image/png":
        return int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big")
    place, most = content.find(b"\xff", 2), 0
    while 0 < place < len(content) - 9:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the head of a frame
            height, width = (int.from_bytes(content[place + at : place + at + 2], "big") for at in (5, 7))
            most = max(most, height * width)
        if marker == 0xDA:  # the picture itself
            break
        place = content.find(b"\xff", place + (1 if marker in ALONE else 2 + length))
    return most


def is_shown(path):
    """Whether the file at `path` may stay where a browser finds it: a picture, or a text that no browser runs."""
    kind = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}.get(path.suffix.lower())
    return is_picture(kind, path.read_bytes()) if kind else path.suffix.lower() in TEXTS


def outputs(given):
    """Of the outputs of a cell the texts, the errors and the pictures."""
    return [output for output in map(shown, given) if output]


def shown(output):
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return new_output("stream", name=name, text=text(output.get("text")))
    if kind == "error":
        lines = output.get("traceback")
        traceback = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
        words = {name: text(output.get(name))[:2000] for name in ("ename", "evalue")}
        return new_output("error", **words, traceback=[text(traceback)])
    data = output.get("data") if isinstance(output.get("data"), dict) else {}
    kept = pictures(data)
    if "text/plain" in data:
        kept["text/plain"] = text(data["text/plain"])
    return new_output("display_data", data=kept) if kept else None


def text(content):
    content = (content if isinstance(content, str) else repr(content))[:LONGEST_OUTPUT]
    return content.encode("utf-8", "replace").decode()  # half a character cannot be stored
