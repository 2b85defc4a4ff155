"""Sphinx reads plain Markdown through MyST; `make docs` treats every warning as an error.

Formulas become MathML, which browsers draw by themselves: the pages need no network.
"""

from docutils import nodes
from latex2mathml.converter import convert

import danlu

project = "danlu"
author = "danlu developers"
copyright = author
version = release = danlu.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "alabaster"
html_title = "danlu 丹炉"
html_math_renderer = "mathml"
html_theme_options = {
    "description": "Which generative model should I use, on my data and my machine?",
    "fixed_sidebar": True,
    "page_width": "1100px",
}


def setup(app):
    def draw(display):
        def visit(translator, node):
            translator.body.append(convert(node.astext(), display=display))
            raise nodes.SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", draw("inline"), draw("block"))
