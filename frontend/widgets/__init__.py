"""The browser side. Speaks to the backend over HTTP alone."""
