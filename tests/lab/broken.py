"""Releases that are broken."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.conftest import ROOT

#: By fault: file of the example, what to replace in it and by what.
BROKEN = {
    "crash": ("server.js", "main().catch(", "throw new Error('out of cheese');\nmain().catch("),
    "ill": ("api.js", "json(200, { status: 'ok'", "json(500, { status: 'ill'"),
    "never-ready": ("server.js", "process.send?.('ready')", "await new Promise(() => {})"),
    "leak": (
        "server.js",
        "process.send?.('ready')",
        "const hoard = []; setInterval(() => hoard.push(Buffer.alloc(1e6, 1)), 200);\n"
        "  setTimeout(() => { throw new Error('heap out of cheese'); }, 20_000);\n  process.send?.('ready')",
    ),
    "migration": ("migrate.js", "const applied = await migrate(database)", "throw new Error('out of cheese')"),
}


def break_backend(fault: str, source: Path) -> Path:
    """Copy the example's backend to a folder, break it there, and return the folder."""
    file, old, new = BROKEN[fault]
    shutil.copytree(ROOT / "examples/backend", source, ignore=shutil.ignore_patterns("node_modules"))
    text = (source / "src" / file).read_text()
    assert old in text
    (source / "src" / file).write_text(text.replace(old, new))
    return source
