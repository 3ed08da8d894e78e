"""Drop from executed notebooks what differs from machine to machine; tools/run_chapters.py calls it.

What is left depends on the chapter alone: running it again changes nothing in git unless a result changed.
"""

import base64
import io

import nbformat
from PIL import Image

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}
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


def merged_streams(outputs):
    """Outputs with text to one stream in one piece: a slow cell prints it in as many pieces as it likes."""
    merged = []
    for output in outputs:
        if merged and output.output_type == "stream" and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def in_256_colours(png):
    """A picture (base64) with a palette: a third of the bytes, at the price of faint steps in smooth colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode == "P":
        return png
    smaller = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode() + "\n"
