"""TeX in a page of feedback as MathML, which browsers show without scripts and without the network.

What latex2mathml makes of a student's TeX is not trusted: it holds links, styles and unescaped text where TeX has them.
Of its elements and attributes only those listed here are written, and all text is escaped; else the TeX stays.
"""

import html
import re
import unicodedata

try:
    from latex2mathml.converter import convert_to_element
except ImportError:  # in an environment from before formulas were typeset, a hub's perhaps: they stay TeX there
    convert_to_element = None

LONGEST = 2000  # characters of one formula
MOST = 400  # formulas of one text
ENVIRONMENTS = "align|aligned|equation|gather|gathered|split|eqnarray|multline"
FORMULA = re.compile(
    r"\$\$(?P<shown>.+?)\$\$|(?<![\\$])\$(?P<inline>(?!\s)[^$]+?(?<![\\\s]))\$(?!\d)|\\\[(?P<bracket>(?:(?!\\\[).)+?)\\\]"
    rf"|(?P<environment>\\begin\{{(?P<kind>(?:{ENVIRONMENTS})\*?)\}}.+?\\end\{{(?P=kind)\}})",
    re.DOTALL,
)
# Tags, and what stands in code.
MARKUP = re.compile(r"(<(?P<code>code|pre)\b.*?</(?P=code)>|<[^>]*>)", re.DOTALL)
ELEMENTS = set(
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot mstyle mpadded mphantom msub msup msubsup munder mover "
    "munderover mmultiscripts mprescripts none mtable mtr mtd menclose".split()
)
ATTRIBUTES = set(
    "display displaystyle scriptlevel stretchy fence form separator accent accentunder movablelimits largeop symmetric "
    "linethickness columnalign rowspacing columnspacing lspace rspace width height depth notation".split()
)
ALPHABETS = {"double-struck": "DOUBLE-STRUCK", "script": "SCRIPT", "fraktur": "FRAKTUR", "bold": "BOLD"}


def typeset(page):
    """The harmless HTML `page` with its formulas as MathML."""
    if convert_to_element is None:
        return page
    left = [MOST]

    def formula(match):
        inline, tex = match["inline"], next(filter(None, match.group("shown", "inline", "bracket", "environment")))
        left[0] -= 1
        if len(tex) > LONGEST or left[0] < 0:
            return match[0]
        try:
            return mathml(html.unescape(tex), "inline" if inline else "block")
        except (Exception, RecursionError):  # of many kinds, for whatever is no TeX
            return match[0]

    parts, place = [], 0
    for markup in MARKUP.finditer(page):
        parts += [FORMULA.sub(formula, page[place : markup.start()]), markup[0]]
        place = markup.end()
    return "".join([*parts, FORMULA.sub(formula, page[place:])])


def mathml(tex, display):
    """A formula as MathML; an error of some kind when it is none."""
    tex = re.sub(rf"(\\(?:begin|end))\{{(?:{ENVIRONMENTS})\*?\}}", r"\1{align*}", tex)
    return written(convert_to_element(tex, display=display))


def written(element):
    """An element of MathML as text, with what is listed here and nothing else."""
    if element.tag not in ELEMENTS:
        raise ValueError(element.tag)
    given = {name: value for name, value in element.attrib.items() if name in ATTRIBUTES}
    attributes = "".join(
        f' {name}="{value}"' for name, value in given.items() if re.fullmatch(r"[\w.%+ -]*", value, re.ASCII)
    )
    text = alphabet(html.unescape(element.text or ""), element.get("mathvariant"))
    inside = html.escape(text) + "".join(written(child) for child in element)
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"


def alphabet(text, variant):
    """The letters of `text` in another alphabet, since browsers know no other attribute for it than `normal`."""
    if variant not in ALPHABETS:
        return text
    return "".join(letter_of(letter, ALPHABETS[variant]) for letter in text)


def letter_of(letter, style):
    size = "CAPITAL" if letter.isupper() else "SMALL"
    old = "BLACK-LETTER" if style == "FRAKTUR" else style
    for name in (f"MATHEMATICAL {style} {size} {letter.upper()}", f"{old} {size} {letter.upper()}"):
        try:
            return unicodedata.lookup(name)
        except KeyError:
            pass
    return letter
