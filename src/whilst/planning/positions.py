"""Where in a TOML text each key and array element stands.

`tomllib` gives values without positions, so a message could name the key but not its line. This walks through a text
that tomllib has accepted already, and only when something is to be reported; it therefore checks nothing, and
only has to know where a value ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]


def find_lines(text: str) -> Mapping[Path, int]:
    """Map each path, e.g. ("tasks", "edits", "after", 0), to its line, counted from 1."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def find_line(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of the path, or of the nearest path around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._breaks = [position for position, character in enumerate(text) if character == "\n"]
        self._elements: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.at):
                table = self._header(2)
                self._note(table)
                self._elements[table] = self._elements.get(table, -1) + 1
                table = (*table, self._elements[table])
                self._note(table)
            elif self.text[self.at] == "[":
                table = self._header(1)
                self._note(table)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> Path:
        self.at += brackets
        path: Path = ()
        keys = self._keys()
        for position, key in enumerate(keys):
            path = (*path, key)
            # [a.b] below [[a]] speaks of the last element of a.
            if path in self._elements and position + 1 < len(keys):
                path = (*path, self._elements[path])
        if brackets == 1 and path in self._elements:
            path = (*path, self._elements[path])
        self.at = self.text.index("]" * brackets, self.at) + brackets
        return path

    def _pair(self, table: Path) -> None:
        begin = self.at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, begin)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip_blank()
            quote = self.text[self.at]
            if quote in "\"'":
                keys.append(self._string())
            else:
                begin = self.at
                while self.text[self.at].isalnum() or self.text[self.at] in "-_":
                    self.at += 1
                keys.append(self.text[begin : self.at])
            self._skip_blank()
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip_blank()
        self._note(path)
        character = self.text[self.at]
        if character in "\"'":
            self._string()
        elif character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        element = 0
        while self._skip_blank() and self.text[self.at] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._value((*path, element))
            element += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._skip_blank() and self.text[self.at] != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._pair(path)
        self.at += 1

    def _string(self) -> str:
        """Move past a string and return it, escapes undone as far as a key needs it."""
        quote = self.text[self.at]
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        begin = self.at = self.at + len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        # Up to two quotes may stand right before the three that end a long string.
        while len(mark) == 3 and self.text.startswith(mark, self.at + 1):
            self.at += 1
        found = self.text[begin : self.at]
        self.at += len(mark)
        if quote == '"' and "\\" in found and len(mark) == 1:
            import tomllib

            return str(tomllib.loads(f'key = "{found}"')["key"])
        return found

    def _skip_blank(self) -> bool:
        """Move past white space, line breaks and comments; False at the end of the text."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = self.text.find("\n", self.at)
                if self.at < 0:
                    self.at = len(self.text)
            elif self.text[self.at] in " \t\r\n":
                self.at += 1
            else:
                return True
        return False

    def _note(self, path: Path, at: int | None = None) -> None:
        self.lines.setdefault(path, bisect_right(self._breaks, (self.at if at is None else at) - 1) + 1)
