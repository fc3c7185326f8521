"""The documentation site: `make docs` builds it into build/site."""

import crabcan

project = "crabcan"
author = "the crabcan developers"
release = version = crabcan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["pictures/*.txt", "benchmarks/*"]
html_theme = "furo"
html_title = "crabcan"

autodoc_member_order = "groupwise"
autodoc_typehints = "description"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_use_ivar = True
# The annotations are names that only type checkers import.
autodoc_type_aliases = {"Stdio": "crabcan.container.Stdio"}
myst_heading_anchors = 3
smartquotes = False  # an option has two hyphens
linkcheck_timeout = 20
