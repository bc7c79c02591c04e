"""Make thumbnails of many pictures: work for a core, and little waiting. Which mode pays?

python examples/thumbnails.py            makes 24 pictures in a temporary folder, and compares the modes on them
python examples/thumbnails.py FOLDER     keeps the pictures there, and uses those it finds there next time
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import whilst

COUNT = 24
SIZE = (2800, 2100)


def make_pictures(folder: Path, count: int = COUNT) -> list[str]:
    """Draw JPEG files that differ from each other; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"picture-{number:03}.jpg"
        if not path.exists():
            _draw(number).save(path, quality=85)
        paths.append(str(path))
    return paths


def _draw(number: int) -> Image.Image:
    picture = Image.radial_gradient("L").resize(SIZE).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for ring in range(60):
        left, top = (number * 53 + ring * 97) % SIZE[0], (number * 31 + ring * 61) % SIZE[1]
        colour = ((ring * 37 + number * 11) % 256, (ring * 71) % 256, (number * 29) % 256)
        draw.ellipse((left, top, left + 60 + ring * 8, top + 60 + ring * 8), outline=colour, width=8)
    return picture


def thumbnail(path: str) -> tuple[str, tuple[int, int], str]:
    """Shrink one picture; returns its name, the thumbnail's size and a digest of its pixels."""
    with Image.open(path) as picture:
        picture.thumbnail((256, 256), Image.Resampling.LANCZOS, reducing_gap=None)
        return Path(path).name, picture.size, hashlib.sha256(picture.tobytes()).hexdigest()[:12]


def main() -> None:
    if len(sys.argv) > 1:
        whilst.compare(thumbnail, make_pictures(Path(sys.argv[1]))).show()
        return
    with tempfile.TemporaryDirectory() as folder:
        whilst.compare(thumbnail, make_pictures(Path(folder))).show()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
