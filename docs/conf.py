"""Sphinx reads plain Markdown through MyST; `make docs` treats every warning as an error."""

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
html_theme_options = {
    "description": "Which generative model should I use, on my data and my machine?",
    "fixed_sidebar": True,
}
