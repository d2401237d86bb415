#!/usr/bin/env python3
"""Reads every #include of src/: a room may include its own headers and those of the rooms it may stand on, nothing else.

The floors are read from CMakeLists.txt, so that there is one place where they are written down. Third-party headers that must not leak
out of the room that owns them are checked too.
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
# Header prefix → rooms whose .cc files may include it.
OWNED = {
    "yaml-cpp/": {"config"},
    "CLI/": {"cli"},
    "sqlite3.h": {"journal"},
    "sodium": {"join"},
    "boost/json": {"agent", "join", "slurm", "machines", "cloud", "catalog", "daemon", "deploy", "rehearse", "sim", "cli"},
    "boost/beast": {"http"},
    "boost/asio": {"http"},
    "openssl/": {"http", "cloud", "rehearse"},
}


def floors(text: str) -> dict[str, tuple[int, set[str]]]:
    """room → (floor, rooms it is declared to stand on), from the slipway_room() lines."""
    rooms = {}
    for name, floor, rest in re.findall(r"^slipway_room\((\w+) FLOOR (\d+)([^)]*)\)", text, re.M):
        match = re.search(r"ROOMS ([\w ]+?)(?: LIBRARIES|$)", rest.strip())
        rooms[name] = (int(floor), set(match.group(1).split()) if match else set())
    return rooms


def reachable(rooms, name):
    found, todo = set(), [name]
    while todo:
        for other in rooms[todo.pop()][1]:
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


def violations(rooms, files) -> list[str]:
    """`files`: (path relative to src, text) pairs."""
    bad = []
    for path, text in files:
        room = path.split("/")[0]
        allowed = reachable(rooms, room) | {room} if room in rooms else set()
        for kind, header in INCLUDE.findall(text):
            other = header.split("/")[0]
            if kind == '"':
                if other not in allowed:
                    bad.append(f"src/{path} includes {header}: room {room} may not use {other}")
                continue
            for prefix, owners in OWNED.items():
                if header.startswith(prefix) and (room not in owners or path.endswith(".h")):
                    bad.append(f"src/{path} includes <{header}>: only .cc files of {', '.join(sorted(owners))} may")
    return bad


class Floors(unittest.TestCase):
    def setUp(self):
        self.rooms = floors((ROOT / "CMakeLists.txt").read_text())

    def test_every_room_is_declared(self):
        folders = {p.name for p in SRC.iterdir() if p.is_dir()} - {"hook"}
        self.assertEqual(folders, set(self.rooms))

    def test_rooms_stand_on_lower_floors(self):
        # Two pairs of neighbours on floor 3 are meant: docs/architecture.md.
        neighbours = {("cloud", "machines"), ("machines", "join"), ("cloud", "join")}
        for room, (floor, others) in self.rooms.items():
            for other in others:
                self.assertTrue(self.rooms[other][0] < floor or (room, other) in neighbours, f"{room} stands on {other}")

    def test_includes(self):
        files = [(str(p.relative_to(SRC)), p.read_text()) for p in sorted(SRC.rglob("*")) if p.suffix in (".h", ".cc")]
        self.assertGreater(len(files), 20)
        self.assertEqual([], violations(self.rooms, files))

    def test_the_check_bites(self):
        bad = violations(self.rooms, [("engine/x.h", '#include "slurm/adapter.h"\n'), ("base/x.cc", "#include <CLI/CLI.hpp>\n"),
                                      ("config/x.h", "#include <yaml-cpp/yaml.h>\n"), ("hook/x.cc", '#include "base/log.h"\n')])
        self.assertEqual(len(bad), 4, bad)


if __name__ == "__main__":
    sys.exit(unittest.main())
