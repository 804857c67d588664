"""For programs that a test starts with this folder in PYTHONPATH: hides what the trainer image lacks and the development environment has.

pyarrow and accelerate import pandas and boto3 wherever they are installed, in every stage, which takes a second or two.
"""

import sys

sys.modules["boto3"] = None  # type: ignore[assignment]  # how importlib marks a module that must not be imported
