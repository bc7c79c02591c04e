"""Code objects taken apart and put together again, with instructions inserted in between.

What differs between versions of CPython stands in `inspecting.cpython`; a version that is not known there is refused,
since wrong bytecode crashes the interpreter rather than raising.

`decode` gives instructions with absolute jump targets, `assemble` lays them out again, lets jumps land on what
was inserted before their target, widens EXTENDED_ARGs until nothing moves, and rewrites the position and the
exception tables (formats: CPython's Objects/locations.md and Objects/exception_handling_notes.txt).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import CodeType

from whilst.inspecting.cpython import (
    BACKWARD,
    CACHES,
    EXTENDED_ARG,
    JUMPS,
    NAME,
    OP,
    Positions,
    Version,
    exception_table_of,
)

_NO_POSITION: Positions = (None, None, None, None)


class Instruction:
    """One instruction; `offset` and `target` are those of the original code, None where it is new."""

    __slots__ = ("arg", "end", "extended", "new_end", "new_start", "offset", "op", "position", "target")

    def __init__(
        self,
        op: int,
        arg: int,
        offset: int | None = None,
        end: int = 0,
        target: int | None = None,
        position: Positions = _NO_POSITION,
    ) -> None:
        self.op, self.arg, self.offset, self.end = op, arg, offset, end
        self.target, self.position = target, position
        self.extended = self.new_start = self.new_end = 0

    @property
    def name(self) -> str:
        """The opcode's name."""
        return NAME[self.op]


def decode(code: CodeType) -> list[Instruction]:
    """Instructions in order, EXTENDED_ARGs folded in, inline caches left out."""
    raw, out, at = code.co_code, [], 0
    positions = list(code.co_positions())
    extended, start = 0, -1
    while at < len(raw):
        op, low = raw[at], raw[at + 1]
        if start < 0:
            start = at
        if op == EXTENDED_ARG:
            extended, at = (extended | low) << 8, at + 2
            continue
        arg, end, target = extended | low, at + 2 + 2 * CACHES.get(op, 0), None
        if op in JUMPS:
            target = end - 2 * arg if op in BACKWARD else end + 2 * arg
        out.append(Instruction(op, arg, start, end, target, positions[at // 2]))
        extended, start, at = 0, -1, end
    return out


def call_hook(hook: int, site: int, depths: Iterable[int], row: Version) -> list[tuple[int, int]]:
    """Call constant `hook` with constant `site` and copies of stack slots (1 is the top); leave its result.

    PUSH_NULL and the callee change places between versions.
    """
    null, callee = (OP["PUSH_NULL"], 0), (OP["LOAD_CONST"], hook)
    out = [null, callee] if row.null_first else [callee, null]
    out.append((OP["LOAD_CONST"], site))
    for pushed, depth in enumerate(depths, 3):
        out.append((OP["COPY"], depth + pushed))
    count = len(out) - 2
    if row.has_precall:
        out.append((OP["PRECALL"], count))
    out.append((OP["CALL"], count))
    return out


def assemble(
    code: CodeType,
    instructions: Sequence[Instruction],
    before: Mapping[int, Sequence[tuple[int, int]]],
    consts: Sequence[object],
    extra_stack: int,
) -> CodeType:
    """Lay out `instructions` with `before[k]` inserted ahead of number k; jumps to k run the insertion too."""
    sequence: list[Instruction] = []
    head: dict[int, Instruction] = {}
    for index, instruction in enumerate(instructions):
        first = instruction
        for number, (op, arg) in enumerate(before.get(index, ())):
            new = Instruction(op, arg, position=instruction.position)
            first = new if number == 0 else first
            sequence.append(new)
        sequence.append(instruction)
        if instruction.offset is not None:
            head[instruction.offset] = first
    total = _lay_out(sequence, head)
    raw = bytearray()
    lines: list[tuple[int, Positions]] = []
    for item in sequence:
        for shift in range(item.extended, 0, -1):
            raw += bytes((EXTENDED_ARG, (item.arg >> (8 * shift)) & 255))
        caches = CACHES.get(item.op, 0)
        raw += bytes((item.op, item.arg & 255)) + bytes(2 * caches)
        length = item.extended + 1 + caches
        if lines and lines[-1][1] is item.position:
            lines[-1] = (lines[-1][0] + length, item.position)
        else:
            lines.append((length, item.position))
    return code.replace(
        co_code=bytes(raw),
        co_consts=tuple(consts),
        co_linetable=_line_table(lines, code.co_firstlineno),
        co_exceptiontable=_exception_table(code, head, total),
        co_stacksize=code.co_stacksize + extra_stack,
    )


def _extra_args(arg: int) -> int:
    return (arg.bit_length() - 1) // 8 if arg > 255 else 0


def _lay_out(sequence: Sequence[Instruction], head: Mapping[int, Instruction]) -> int:
    """Give each instruction its place; repeat while a jump that grew pushes others away."""
    for item in sequence:
        item.extended = _extra_args(item.arg)
    while True:
        at, has_grown = 0, False
        for item in sequence:
            item.new_start = at
            at += 2 * item.extended + 2 + 2 * CACHES.get(item.op, 0)
            item.new_end = at
        for item in sequence:
            if item.target is None:
                continue
            goal = head[item.target].new_start if item.target in head else at
            distance = item.new_end - goal if item.op in BACKWARD else goal - item.new_end
            assert distance >= 0, (item.name, distance)
            item.arg = distance // 2
            if _extra_args(item.arg) > item.extended:
                item.extended, has_grown = _extra_args(item.arg), True
        if not has_grown:
            return at


def _varint(value: int, out: bytearray) -> None:
    while value >= 64:
        out.append(64 | (value & 63))
        value >>= 6
    out.append(value)


def _line_table(items: Iterable[tuple[int, Positions]], first_line: int) -> bytes:
    out, previous = bytearray(), first_line
    for length, (line, end_line, column, end_column) in items:
        left = length
        while left > 0:
            units = min(left, 8)
            left -= units
            if line is None:
                out.append(0x80 | (15 << 3) | (units - 1))
                continue
            delta = line - previous
            previous = line
            signed = ((-delta) << 1) | 1 if delta < 0 else delta << 1
            if end_line is None or column is None or end_column is None:
                out.append(0x80 | (13 << 3) | (units - 1))
                _varint(signed, out)
            else:
                out.append(0x80 | (14 << 3) | (units - 1))
                _varint(signed, out)
                for value in (end_line - line, column + 1, end_column + 1):
                    _varint(value, out)
    return bytes(out)


def _exception_table(code: CodeType, head: Mapping[int, Instruction], total: int) -> bytes:
    out = bytearray()

    def big_endian(value: int, marker: int) -> None:
        parts = [value & 63]
        while value := value >> 6:
            parts.append(value & 63)
        for index, part in enumerate(reversed(parts)):
            out.append(part | (64 if index < len(parts) - 1 else 0) | (marker if index == 0 else 0))

    for entry in exception_table_of(code):
        start = head[entry.start].new_start
        end = head[entry.end].new_start if entry.end in head else total
        big_endian(start // 2, 128)
        big_endian((end - start) // 2, 0)
        big_endian(head[entry.target].new_start // 2, 0)
        big_endian((entry.depth << 1) | int(entry.lasti), 0)
    return bytes(out)
