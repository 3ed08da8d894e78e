"""Settings of nbgrader for the problem sets: every nbgrader command that runs in this folder reads them."""

import sys
from pathlib import Path

COURSE = Path(__file__).resolve().parent
if str(COURSE) not in sys.path:
    sys.path.append(str(COURSE))

c = get_config()  # noqa: F821  defined by whoever reads this file

c.CourseDirectory.course_id = "copy-or-average"
c.CourseDirectory.root = str(COURSE)
c.CourseDirectory.db_url = f"sqlite:///{COURSE / 'gradebook.db'}?timeout=60"  # two submissions are graded at a time

c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("Write your answer here, in place of this line.")'}
c.ClearSolutions.text_stub = "*Write your answer here, in place of this line.*"

# Student code runs in the sandbox, also when the formgrader or a plain `nbgrader autograde` starts it.
c.Autograde.autograde_preprocessors = [
    "grading.sandbox.SandboxedExecute",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.SandboxedExecute.timeout = 60  # seconds a cell
c.SandboxedExecute.total = 300  # seconds a notebook
c.SandboxedExecute.memory = 2 * 2**30  # bytes of address space a process
c.SandboxedExecute.shutdown_kernel = "immediate"
c.SandboxedExecute.store_widget_state = False

c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "grading.hide.HideTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
# Texts of students cannot run anything in the pages of the feedback and of the formgrader, nor load from elsewhere.
c.HTMLExporter.filters = {"markdown2html": "grading.hide.markdown_to_html"}
