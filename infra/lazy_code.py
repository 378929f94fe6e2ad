"""Keeps what is made of an SDK's source beside the bytecode that Python keeps of it, in the same folder under a tag of its own.

The code is compiled with postponed annotations and without docstrings: a resource's module evaluates some thousand annotations at
import, of which Pulumi's SDK later asks for five, and two thirds of its bytecode are docstrings.
"""

from __future__ import annotations
import __future__

import ast
import gc
import importlib.util
import marshal
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

TAG = "skylift3"
"""Part of the names of the files; to be changed with what they hold."""

_BYTES = 0xFFFFFFFF


class Loader(SourceFileLoader):
    """Loads a module from what `prepare` made of its source. Python's own rules hold: a file that is older than the source or of
    another Python is made anew, PYTHONDONTWRITEBYTECODE and PYTHONPYCACHEPREFIX are heeded; where no file can be written, the
    bytecode that Python keeps serves instead, since compiling takes long."""

    def prepared(self) -> Any:
        """What `prepare` made, now or earlier."""
        stamp = self._stamp()
        file = self._file()
        try:
            kept = self.get_data(file)
        except OSError:
            kept = b""
        if kept.startswith(stamp):
            return marshal.loads(memoryview(kept)[len(stamp) + 1 :])  # noqa: S302 - as far as bytecode is to be trusted
        keeps = not sys.dont_write_bytecode and _is_writable(Path(file).parent)
        made = self.prepare(keeps)
        if keeps:
            self.set_data(file, stamp + self.mark(made) + marshal.dumps(made))
        return made

    def is_prepared(self, mark: bytes) -> bool:
        """Whether there is something made earlier, of this source, with that mark."""
        wanted = self._stamp() + mark
        try:
            with open(self._file(), "rb", buffering=0) as file:  # noqa: PTH123 - a hundred of them at a start
                return file.read(len(wanted)) == wanted
        except OSError:
            return False

    def _file(self) -> str:
        return importlib.util.cache_from_source(self.path, optimization=TAG)

    def mark(self, made: Any) -> bytes:
        """One byte that tells kinds of what was made apart, without reading it."""
        return b" "

    def prepare(self, thriftily: bool) -> Any:
        """Of builtin types and code objects, what `exec_module` takes from `prepared`."""
        raise NotImplementedError

    def compiled(self, thriftily: bool, source: str | None = None) -> CodeType:
        """The module's code, or that of another source in its place."""
        if source is None and not thriftily:
            code = self.get_code(self.name)
            assert code is not None
            return code
        text = (self.get_source(self.name) or "") if source is None else source
        return _thrifty(text, self.path) if thriftily else compile(text, self.path, "exec", dont_inherit=True)

    def _stamp(self) -> bytes:
        stats = self.path_stats(self.path)
        return importlib.util.MAGIC_NUMBER + struct.pack(
            "<II", int(stats["mtime"]) & _BYTES, int(stats["size"]) & _BYTES
        )


_parsing = threading.Lock()


@contextmanager
def parsing() -> Iterator[None]:
    """One thread parses at a time, and nothing runs meanwhile: whoever calls `ast.parse` in threads does it in here.

    Python 3.11 counts the depth of a tree once for all threads: two that parse at once upset it (SystemError), and
    they can even under the interpreter's lock, because a collection during one's work runs finalizers that let go of it.
    """
    with _parsing:
        collects = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collects:
                gc.enable()


def _thrifty(source: str, path: str) -> CodeType:
    with parsing():
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                node.body = [each for each in node.body if not _is_overload(each)]
            elif isinstance(node, ast.FunctionDef):
                for argument in (*node.args.args, *node.args.kwonlyargs):
                    argument.annotation = None
        flags = __future__.annotations.compiler_flag
        found: CodeType = compile(tree, path, "exec", flags=flags, dont_inherit=True, optimize=2)
        return found


def _is_overload(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list
    )


def _is_writable(folder: Path) -> bool:
    return os.access(next(each for each in (folder, *folder.parents) if each.exists()), os.W_OK)
