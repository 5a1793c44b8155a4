"""Says in one line what is missing when PyAV is."""

from importlib.util import find_spec

if find_spec("av") is None:
    raise ImportError("the sandbox makes real media and needs PyAV: pip install 'viseme[media]'")
