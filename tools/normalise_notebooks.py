"""Drop from executed notebooks what differs from machine to machine; tools/run_chapters.py calls it.

What is left depends on the chapter alone: running it again changes nothing in git unless a result changed.
"""

import base64
import io
import re

import nbformat
from PIL import Image

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}
DARK = "<style>@media (prefers-color-scheme:dark){"
VOLATILE = ("execution", "ExecuteTime", "collapsed", "scrolled", "colab", "outputId", "executionInfo")


def normalise(notebook):
    """Put `notebook` into the stored form, in place.

    Widgets go, with the state in the metadata: on a page without a kernel they are dead sliders and 4 MB of scripts.
    """
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            shown = "remove-output" not in cell.metadata.get("tags", [])
            cell.outputs = merged_streams(cell.outputs) if shown else []
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = in_256_colours(output.data["image/png"])
                if "image/svg+xml" in output.get("data", {}):
                    output.data["image/svg+xml"] = for_both_themes(output.data["image/svg+xml"])


def merged_streams(outputs):
    """Outputs with text to one stream in one piece: a slow cell prints it in as many pieces as it likes."""
    merged = []
    for output in outputs:
        if merged and output.output_type == "stream" and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def for_both_themes(svg):
    """A vector picture without date and version, which on a dark page draws light on nothing.

    Greys are mirrored, hues stay. A browser asks for the `color-scheme` of the page around the picture, or, if it is an
    older one, for the setting of the system.
    """
    svg = re.sub(r" *<metadata>.*?</metadata>\n?", "", svg, flags=re.DOTALL)
    if DARK in svg:
        return svg
    rules = ["svg{fill:" + in_the_dark("00") + "}"]
    for what, grey in sorted(set(re.findall(r"(fill|stroke): #([0-9a-f]{2})\2\2\b", svg))):
        drawn = f"[style*='{what}: #{grey * 3}']"
        if (what, grey) == ("fill", "ff"):  # the ground; open markers hide what lies below; letters on colours stay
            rules += [f"g[id^=patch]>path{drawn}{{fill:none!important}}"]
            drawn = f":is(use,defs path){drawn}"
        rules.append(f"{drawn}{{{what}:{in_the_dark(grey)}!important}}")
    style = f"{DARK}{''.join(rules)}}}</style>"
    return re.sub(r"(<svg [^>]*>)", lambda start: f"{start[1]}\n {style}", svg, count=1)


def in_the_dark(grey):
    """The colour that takes the place of a grey (two hexadecimal digits): light for dark; the middle stays."""
    level = int(grey, 16)
    return "#" + 3 * f"{round(0xE0 - level * 0x48 / 0x80 if level < 0x80 else 0x98 - (level - 0x80) * 0x86 / 0x7F):02x}"


def in_256_colours(png):
    """A picture (base64) with a palette: a third of the bytes, at the price of faint steps in smooth colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode == "P":
        return png
    smaller = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode() + "\n"
