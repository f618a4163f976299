"""Photo-like fruits drawn by program: a demo collection that needs no download.

Each fruit is a small solid model (`shapes`, `skin`, `parts`) with its own hue, proportions and
blemishes (`fruits`, `cut`), turned on a turntable before a white ground (`render`, `canvas`) as in
the Fruits-360 photos (`collection`).
"""

from verger.sample.collection import draw, write_collection
from verger.sample.fruits import KINDS

__all__ = ["KINDS", "draw", "write_collection"]
