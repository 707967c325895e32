"""The annotated pages: what docs/annotate.py is made of."""
