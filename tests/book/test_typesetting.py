"""tools/line_breaks.py and tools/pdf.py: where lines may break, and how wide the columns of a table are."""

from docutils import nodes
from line_breaks import break_names, break_paths, hold_formulas
from pdf import LINE, widths

MATH = '<span class="math notranslate nohighlight">{}</span>'


def test_names_in_tables_break_at_their_joints():
    name = '<td><p><code class="a_b c.d"><span class="pre">L.hessian_operator(student)</span></code></p></td>'
    broken = name.replace("L.hessian_operator(", "L.<wbr>hessian_<wbr>operator(<wbr>")
    assert break_names(name) == broken
    assert break_names("<td>a_b</td><p><code>a_b</code></p>") == "<td>a_b</td><p><code>a_b</code></p>"
    assert break_names("<td><code>__sub__</code></td>") == "<td><code>__sub__</code></td>"


def test_paths_break_behind_slashes():
    path = '<p><code class="a/b"><span class="pre">graded/&lt;set&gt;/x_1.json</span></code> a/b</p>'
    broken = path.replace("graded/", "graded/<wbr>").replace("&gt;/", "&gt;/<wbr>")
    assert break_paths(path) == broken


def test_short_formulas_keep_their_punctuation():
    k, long = MATH.format(r"\(k\)"), MATH.format("\\(" + "x" * 60 + "\\)")
    assert hold_formulas(f"for {k}, and") == f'for <span class="held">{k},</span> and'
    assert hold_formulas(f"({k} is)") == f'<span class="held">({k}</span> is)'
    assert hold_formulas(f"for {k} and") == f"for {k} and"
    assert hold_formulas(f"for {long}, and") == f"for {long}, and"


def test_columns_hold_their_longest_word_and_share_the_rest():
    def column(*texts):
        return [nodes.entry("", nodes.paragraph("", text)) for text in texts]

    columns = [column("n", "12"), column("check", "test_some_thing"), column("claim", "a b c " * 40)]
    narrow, names, long = widths(columns)
    assert narrow >= len("12") and names >= len("thing") and narrow < names < long
    assert abs(narrow + names + long - LINE) <= 2
