"""Sphinx extension: with WITH_LITE set (`make lite`), chapters offer to run in the browser beside Binder and Colab."""

import os


def add_button(app, config):
    if os.environ.get("WITH_LITE"):
        # Relative to a page of book/: the site may live in a folder of its host, as on GitHub Pages.
        config.html_theme_options["launch_buttons"]["jupyterlite_url"] = "../lite/notebooks/index.html"


def setup(app):
    app.connect("config-inited", add_button)
    return {"parallel_read_safe": True}
