"""One table a file: what it measures, how, and the bar."""
