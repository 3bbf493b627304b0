"""User text in every format of the report: printed literally, never executed.

Labels, titles and notes come from a configuration that someone else may have written. Each function takes plain text
and returns one line.
"""

import html as _html
import re
from collections.abc import Mapping

# Control characters are illegal in XML; direction marks can make one text look like another.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def line(text: str) -> str:
    """Text on one line, without unprintable characters."""
    return _UNPRINTABLE.sub("", " ".join(text.split()))


def csv_cell(text: str) -> str:
    """Text for a csv cell that no spreadsheet evaluates; a number stays a number, and "-" stays "-".

    A spreadsheet reads a cell that starts with `=`, `+`, `-` or `@` as a formula. An apostrophe marks it as text.
    """
    text = line(text)
    if text[:1] in ("=", "+", "-", "@") and text != "-" and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def html(text: str) -> str:
    """Text for HTML, inside an element or a quoted attribute."""
    return _html.escape(line(text))


def markdown(text: str) -> str:
    """Text for GitHub's Markdown, in a table cell or at the start of a paragraph."""
    text = line(text)
    if _NUMBER.fullmatch(text):
        return text
    text = re.sub(r"([\\`*\[\]|~$])", r"\\\1", text)
    # Within a word, an underscore is not markup, and names read better without backslashes.
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    text = re.sub(r"^([#+=-]|\d+(?=[.)](?:\s|$)))", _marked, text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Bare addresses would become links.
    return re.sub(r"(?i)\b(https?|ftp):|\bwww\.", lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", text)


def _marked(found: re.Match[str]) -> str:
    """The mark of a heading, list or rule, escaped: a backslash before it, or after the number of a list item."""
    return f"{found[1]}\\" if found[1].isdigit() else f"\\{found[1]}"


_GREEK_NAMES = (
    *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega"),
    *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"),
)
_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK_NAMES, strict=True))
_TEX: Mapping[str, str] = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
    # After a line break a bracket would be read as the height of the gap.
    **{"[": "{[}", "]": "{]}"},
    **{letter: rf"$\{name}$" for letter, name in _GREEK.items()},
    **{"×": r"$\times$", "±": r"$\pm$", "−": "$-$", "≤": r"$\le$", "≥": r"$\ge$", "²": r"\textsuperscript{2}"},
    **{"–": "--", "—": "---", "“": "``", "”": "''", "‘": "`", "’": "'", "\N{NO-BREAK SPACE}": "~"},
}


def tex(text: str) -> str:
    """Text for LaTeX."""
    return "".join(_TEX.get(character, character) for character in line(text))


def rst(text: str) -> str:
    """Text for reStructuredText, such as the captions of Snakemake's report: every mark is escaped."""
    return re.sub(r"([^\w\s]|_)", r"\\\1", line(text))
