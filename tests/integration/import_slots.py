"""Where the imports of a process lead: read from its memory, as a debugger
would, by what each module in it says of itself (System V ABI, x86-64).
"""

import os
import struct
from dataclasses import dataclass

from nginx_instance import maps

ELF_HEADER_SIZE = 64
ET_EXEC = 2
PT_DYNAMIC = 2
DT_STRTAB, DT_SYMTAB = 5, 6
# where a table of relocations is, and its size: DT_RELA, DT_JMPREL
TABLES = ((7, 8), (23, 2))
R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT = 6, 7

PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<qQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQq")


@dataclass(frozen=True)
class ImportSlot:
    """A word of a global offset table: the module that has it, the function
    that it names, and the file of the code that it leads to, "" if none."""

    module: str
    function: str
    target: str


class _Memory:
    """A process's memory."""

    def __init__(self, pid):
        self._mem = os.open(f"/proc/{pid}/mem", os.O_RDONLY)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._mem)

    def read(self, address, size):
        data = os.pread(self._mem, size, address)
        assert len(data) == size
        return data

    def word(self, address):
        return int.from_bytes(self.read(address, 8), "little")

    def array(self, layout, address, size):
        return layout.iter_unpack(self.read(address, size))

    def string(self, address, longest=64):
        return self.read(address, longest).partition(b"\0")[0].decode(
            errors="replace")


def _files(pid):
    """The file mappings of a process: (start, end, executable, offset,
    path)."""
    for line in maps(pid):
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):
            start, end = (int(part, 16) for part in fields[0].split("-"))
            yield start, end, "x" in fields[1], int(fields[2], 16), fields[5]


def _modules(files):
    """The paths of what is loaded, rather than only mapped, by where each
    begins: code follows a file's first page."""
    found, begin = {}, {}
    for start, _, executable, offset, path in files:
        if offset == 0:
            begin[path] = start
        if executable and path in begin:
            found[begin[path]] = path
    return found


def _dynamic(memory, start):
    """What is added to a module's addresses, and its dynamic section:
    {tag: value}."""
    header = memory.read(start, ELF_HEADER_SIZE)
    if header[:4] != b"\x7fELF":
        return 0, {}
    kind, = struct.unpack_from("<H", header, 16)
    table, = struct.unpack_from("<Q", header, 32)
    size, entries = struct.unpack_from("<HH", header, 54)
    bias = 0 if kind == ET_EXEC else start
    for kind, _, _, address, _, _, length, _ in memory.array(
            PROGRAM_HEADER, start + table, size * entries):
        if kind == PT_DYNAMIC:
            return bias, dict(memory.array(DYNAMIC, bias + address, length))
    return bias, {}


def _relocations(memory, start):
    """(address of the slot, function) of a module's imports."""
    bias, dynamic = _dynamic(memory, start)

    def address(tag):
        # the dynamic loader has relocated it in place
        value = dynamic.get(tag, 0)
        return value + bias if 0 < value < bias else value

    for table, size in TABLES:
        if not address(table):
            continue
        for offset, info, _ in memory.array(RELOCATION, address(table),
                                            dynamic[size]):
            if info & 0xffffffff in (R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT):
                symbol = address(DT_SYMTAB) + (info >> 32) * SYMBOL.size
                name = SYMBOL.unpack(memory.read(symbol, SYMBOL.size))[0]
                yield bias + offset, memory.string(address(DT_STRTAB) + name)


def import_slots(pid, functions):
    """The ImportSlots of a process that name any of the functions."""
    files = list(_files(pid))

    def file_of(address):
        return next((path for start, end, *_, path in files
                     if start <= address < end), "")

    with _Memory(pid) as memory:
        return [ImportSlot(path, function, file_of(memory.word(slot)))
                for start, path in _modules(files).items()
                for slot, function in _relocations(memory, start)
                if function in functions]
