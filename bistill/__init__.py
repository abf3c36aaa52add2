"""bistill: labelled text in, a Cross-Encoder teacher, a distilled Bi-Encoder student and its evaluation out."""

__version__ = "0.1.0"
