"""A saved model as a file to take away: weights, ONNX, a ZIP with everything, a page to read.

A file is made once, in a folder of its own inside the model's, which appears whole; a saved model never changes. Free
of torch until a format needs it: `formats` is what the API's process reads, too.
"""

from backend.inference.exporters.formats import FORMATS, export, exports_of, require_format
from backend.inference.exporters.request import ExportedFile, Surroundings, read_report

__all__ = ["FORMATS", "ExportedFile", "Surroundings", "export", "exports_of", "read_report", "require_format"]
