"""What a student hands in is opened by somebody who is logged in: whatever it holds, their browser does nothing.

Every payload asks the server, in the name of the reader, for a terminal or a file; its address or its body has its name
after MARK. The same notebook as it was handed in shows that the payloads work.
"""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import browser
import nbformat
import pytest
from nbformat import v4
from simulated_class import PIXEL
from small_course import ASSIGNMENTS, WALLS, grade, new_course, released

pytest.importorskip("nbgrader", reason="book/assignments/requirements.txt is not installed")
sys.path.append(str(ASSIGNMENTS))
from grading import harmless  # noqa: E402

MARK = "PAYLOAD-"


def runs(name):
    """JavaScript that tries what a reader may do; it needs no quotes of the kind that surrounds it."""
    return f"fetch('/api/terminals?{MARK}{name}',{{method:'POST'}});fetch('/api/contents/{MARK}{name}')"


def elements(name):
    """HTML that runs `runs`, or asks for the address itself."""
    address, script = f"/api/contents/{MARK}{name}", runs(name)
    return "\n\n".join(
        [
            f"<script>{script}</script>",
            f'<img src="{address}-img" onerror="{script}">',
            f'<svg xmlns="http://www.w3.org/2000/svg" onload="{script}"><image href="{address}-svg"/></svg>',
            f'<iframe src="{address}-frame"></iframe><iframe srcdoc="<script>{script}</script>"></iframe>',
            f'<object data="{address}-object"></object><embed src="{address}-embed">',
            f'<video src="{address}-video" poster="{address}-poster" autoplay></video>',
            f'<link rel="stylesheet" href="{address}-link"><style>@import "{address}-import";</style>',
            f'<p style="background: url({address}-style)">p</p><table background="{address}-table"></table>',
            f'<details open ontoggle="{script}">d</details><input autofocus onfocus="{script}">',
            f'<form action="{address}-form"><button autofocus>b</button></form>',
            f'<math><mtext><table><mglyph><style><img src="{address}-m" onerror="{script}"></style></mglyph>'
            "</table></mtext></math>",
        ]
    )


def words(name):
    """Markdown that does the same, in HTML and without."""
    address = f"/api/contents/{MARK}{name}"
    return "\n\n".join(
        [
            elements(name),
            f"![a]({address}-1) ![b][b] ![c](<{address}-2>) [![d]({address}-3)](x)",
            f"[b]: {address}-4",
            f"![f](page.svg) ![g](picture.png) &lt;img src={address}-5&gt; \\![h]({address}-6)",
            f'$\\href{{javascript:{runs(name)}}}{{x}}$ &#36;&#92;href{{javascript:1}}{{y}}&#36;',
            f'$$\\require{{html}}\\style{{background: url({address}-7)}}{{x}} \\class{{y" onclick="z}}{{x}}$$',
            f'```mermaid\n%%{{init: {{"themeCSS": "*{{background: url({address}-8)}}"}}}}%%\ngraph TD; A-->B\n```',
            f"<a id=c href='javascript:{runs(name)}' data-commandlinker-command='terminal:create-new'>c</a>",
            f"[l](javascript:{runs(name)}) <https://example.org/{MARK}{name}>",
        ]
    )


def shows(name, kind, content):
    """An output and the code that makes it."""
    code = f"from IPython.display import display\ndisplay({{{kind!r}: {content!r}}}, raw=True)"
    return v4.new_code_cell(code, outputs=[v4.new_output("display_data", data={kind: content})])


def hostile():
    """A notebook with every payload, in its stored outputs and in those that its code makes."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{runs("svg")}</script></svg>'
    cells = [
        v4.new_markdown_cell(
            words("markdown") + "![e](attachment:e.svg)", attachments={"e.svg": {"image/svg+xml": svg}}
        ),
        v4.new_raw_cell(elements("raw"), metadata={"format": "text/html"}),
        shows("html", "text/html", elements("html")),
        shows("svg", "image/svg+xml", svg),
        shows("javascript", "application/javascript", runs("javascript")),
        shows("latex", "text/latex", f"{elements('latex')} $\\href{{javascript:{runs('latex')}}}{{x}}$"),
        shows("words", "text/markdown", words("output")),
        shows("picture", "image/png", f'" onerror="{runs("picture")}'),
        shows("pdf", "application/pdf", f'"></object>{elements("pdf")}'),
        shows("widget", "application/vnd.jupyter.widget-view+json", {"model_id": f"</script>{elements('widget')}"}),
        shows("vega", "application/vnd.vegalite.v5+json", {"data": {"url": f"/api/contents/{MARK}vega"}}),
        v4.new_code_cell("print(1)", metadata={"tags": [elements("tag").replace(",", " ")]}, execution_count=1),
        v4.new_code_cell(f"print({elements('stream')!r})"),
        v4.new_code_cell(f"raise type({elements('type')!r}, (Exception,), {{}})({elements('error')!r})"),
        v4.new_code_cell(f"get_ipython().kernel.shell.execution_count = {elements('count')!r}"),
        v4.new_code_cell("print(2)"),
        v4.new_markdown_cell("![It ends the making of a page](attachment:missing.png)"),
    ]
    notebook = v4.new_notebook(cells=cells, metadata={"title": f"</title>{elements('title')}"})
    notebook.metadata["language_info"] = {"name": f'"{elements("language")}'}
    return notebook


FILES = {
    "page.html": f"<script>{runs('page')}</script>".encode(),
    "page.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><script>{runs("page")}</script></svg>'.encode(),
    "picture.png": f"<script>{runs('file')}</script>".encode(),
    "proof.png": PIXEL,
    "helper.py": b"x = 1\n",
}


@pytest.mark.parametrize(
    "source",
    ["a $x^2 < y$ and *b*", "![mine](proof.png)", "![p](attachment:p.jpeg)", "- x\n- `f(x)`", "> $a & b \\\\ c$", "<-"],
)
def test_words_formulas_and_pictures_of_ones_own_stay(source):
    assert harmless.markdown(source, {"p.jpeg": {}}) == source


def test_a_text_is_made_harmless_once():
    once = harmless.markdown(words("twice"))
    assert harmless.markdown(once) == once and not set(once.split()) & {"<script>", "<img", "<a"}


def test_a_text_that_takes_minutes_to_lay_out_is_cut():
    assert len(harmless.markdown(10**5 * r"\begin{a}")) < harmless.LONGEST + 100


def test_a_picture_begins_like_one():
    assert harmless.picture("image/png", f'" onerror="{runs("picture")}') is None
    assert harmless.picture("image/png", "PHNjcmlwdD4=") is None and harmless.picture("image/png", None) is None
    assert harmless.picture("image/jpeg", "/9j/4AAQ\nSkZJRg==\n") == "/9j/4AAQSkZJRg=="


def png(width, height):
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"


def jpeg(width, height, before=b""):
    frame = b"\xff\xc2\0\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes(20)
    return b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(10) + before + frame


@pytest.mark.parametrize(
    "kind, content, shown",
    [
        ("image/png", PIXEL, True),
        ("image/png", png(8000, 6000), True),
        ("image/png", png(60_000, 60_000), False),
        ("image/png", png(2**32 - 1, 1), False),
        ("image/jpeg", jpeg(8000, 6000), True),
        ("image/jpeg", jpeg(60_000, 60_000), False),
        ("image/jpeg", jpeg(60_000, 60_000, b"\xff\xe1\0\x0a" + jpeg(1, 1)[:8]), False),  # a small one inside
        ("image/jpeg", jpeg(60_000, 60_000, b"rubbish\xff\xff"), False),
        ("image/jpeg", jpeg(60_000, 60_000, b"\xff\xd0\xff\x01\xff\0"), False),
        ("image/jpeg", jpeg(1, 1, jpeg(60_000, 60_000)[20:41]), False),
    ],
)
def test_a_picture_of_a_few_bytes_that_fills_the_memory_of_a_browser_is_none(tmp_path, kind, content, shown):
    path = tmp_path / {"image/png": "a.PNG", "image/jpeg": "a.jpeg"}[kind]
    path.write_bytes(content)
    assert harmless.is_shown(path) is shown
    assert (harmless.picture(kind, base64.b64encode(content).decode()) is not None) is shown


@contextlib.contextmanager
def jupyterlab(folder):
    """The address of a JupyterLab with the formgrader, started in `folder`; who opens it is logged in."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.collaborative=False"]
    variables |= {"HOME": str(folder.parent), "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    with open(folder.parent / "jupyterlab.log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5)
                    break
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


@pytest.mark.slow
@pytest.mark.other
@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome on PATH (apt-get install chromium)")
@pytest.mark.skipif(not WALLS, reason="bubblewrap does not work here")
def test_a_hostile_notebook_does_nothing_in_the_browser_of_who_marks_it(tmp_path, look):
    course, submissions = new_course(tmp_path), tmp_path / "submissions"
    notebook = hostile()
    notebook.cells[:0] = released(course).cells
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "small-words":
            cell.source = words("answer")
    for student in ("hostile", "control"):
        (submissions / student).mkdir(parents=True)
        nbformat.write(notebook, submissions / student / "small.ipynb")
        for name, content in FILES.items():
            (submissions / student / name).write_bytes(content)
    grade(course, submissions)
    graded = {student: course / "autograded" / student / "small" for student in ("hostile", "control")}
    assert {path.name for path in graded["hostile"].iterdir()} == {"small.ipynb", "proof.png", "helper.py"}
    stored = json.loads((graded["hostile"] / "small.ipynb").read_text("utf-8"))
    kinds = {kind for cell in stored["cells"] for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert kinds <= {"text/plain", "image/png"} and set(stored["metadata"]) == {"kernelspec"}
    del notebook.cells[-1]
    (graded["control"] / "small.ipynb").chmod(0o600)  # nbgrader stores it read-only
    nbformat.write(notebook, graded["control"] / "small.ipynb")
    addresses = {}
    script = f"""
from nbgrader.api import Gradebook
with Gradebook("sqlite:///{course / "gradebook.db"}") as gradebook:
    for student in ("hostile", "control"):
        print(gradebook.find_submission_notebook("small", "small", student).id)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    with jupyterlab(course) as server:
        for student, identifier in zip(graded, found.stdout.split(), strict=True):
            addresses[f"{student} in the formgrader"] = f"{server}/formgrader/submissions/{identifier}/"
            addresses[f"{student} in JupyterLab"] = f"{server}/lab/tree/autograded/{student}/small/small.ipynb"
        addresses["feedback"] = (course / "feedback" / "hostile" / "small" / "small.html").as_uri()
        asked = {}
        for where, address in addresses.items():
            asked[where] = []
            page = look(f"{server}/api" if address.startswith("http") else address)
            page.on(
                "request",
                lambda request, kept=asked[where]: kept.append(f"{request.method} {request.url} {request.post_data}"),
            )
            page.goto(address, wait_until="load")
            if where != "control in the formgrader":  # which the payloads have changed beyond recognition
                page.get_by_role("heading", name="A small problem set").first.wait_for()
            page.wait_for_timeout(5000)
    # JupyterLab asks whether a path that it finds in a text exists, to make a link of it.
    asked = {where: [line for line in lines if "/api/resolvePath?" not in line] for where, lines in asked.items()}
    reached = {where: [line for line in lines if MARK in line] for where, lines in asked.items()}
    assert any("POST" in line and "/api/terminals" in line for line in reached["control in the formgrader"])
    worked = {line.partition(MARK)[2].split()[0].split("-")[0] for line in reached["control in the formgrader"]}
    assert worked >= {"html", "javascript"}, worked
    for where in ("hostile in the formgrader", "hostile in JupyterLab", "feedback"):
        assert reached[where] == [], where
