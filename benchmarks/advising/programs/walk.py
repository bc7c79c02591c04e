"""Checksums of a tree of files."""
# EXPECT change parallel

import hashlib
import os
import pathlib

root = pathlib.Path("tree")
for number in range(24):
    folder = root / f"d{number % 4}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"f{number}").write_bytes(bytes([number]) * 4_000_000)


def checksum(path):
    return hashlib.sha3_256(pathlib.Path(path).read_bytes()).hexdigest()


manifest = []
for folder, folders, files in os.walk(root):
    folders.sort()
    for name in sorted(files):  # LOOP independent
        path = os.path.join(folder, name)
        size = os.path.getsize(path)
        manifest.append((path, size, checksum(path)))
print(len(manifest), hashlib.sha256(repr(manifest).encode()).hexdigest())
