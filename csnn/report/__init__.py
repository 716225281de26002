"""The report of a run: figures, tables and one self-contained HTML file."""
