"""Sightglass in the browser: Streamlit screens over the HTTP API. Knows nothing of the backend's code."""
