"""Draws docs/images/messages.png: what the bridge sends, as a phone shows it.

    python3 tests/draw_messages.py [chromium]

The texts are those of tests/golden/bridge, which the program itself has rendered; only the frame around them is made
here: chats, bubbles, answers, buttons. Chromium has to be there, and the fonts fonts-noto-color-emoji and fonts-roboto-unhinted (on Debian).
"""

from __future__ import annotations

import collections
import functools
import html
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

TESTS = Path(__file__).resolve().parent
GOLDEN = TESTS / "golden" / "bridge"
PICTURE = TESTS.parent / "docs" / "images" / "messages.png"
LABELS = TESTS.parent / "src" / "bridge" / "buttons" / "offer.rs"
SIZE = (1640, 1196)

# As the program offers them; that it still calls them so is looked up.
FIRING = [["👀 Ack"], ["🔕 1 h", "4 h", "24 h"]]
SILENCED = [["👀 Ack"], ["↩ Undo silence"]]

# Chats: light or dark, and what is in them: a golden file, when it was sent, and what belongs to it. Those that get what is
# of every instance, so that it can be shown together.
CHATS = [
    ("operations", "light", [
        ("warning", "13:01", {}),
        ("critical", "13:05", {"buttons": FIRING}),
        ("acknowledged", "13:05", {"buttons": FIRING[1:], "is_edited": True}),
        ("silenced", "13:05", {"buttons": SILENCED, "is_edited": True}),
    ]),
    ("operations", "light", [
        ("mixed", "13:05", {"buttons": FIRING}),
        ("resolved", "13:05", {"is_edited": True}),
        ("announcement", "13:17", {"answers": "resolved"}),
        ("announcement-of-some", "13:21", {"answers": "mixed"}),
    ]),
    ("operations", "dark", [
        ("progress", "13:02", {"is_edited": True}),
        ("progress-failed", "13:02", {"is_edited": True}),
        ("announcement-of-failure", "13:14", {"answers": "progress-failed"}),
        ("message", "13:28", {}),
        ("operations", "13:29", {}),
        ("several-of-one", "13:29", {"buttons": FIRING}),
    ]),
    ("root", "dark", [
        ("diverted", "13:30", {}),
        ("many", "13:30", {"document": True}),
        ("announcement-of-several", "13:31", {}),
    ]),
]

STYLE = """
* { box-sizing: border-box; margin: 0 }
body { display: flex; gap: 12px; padding: 12px; background: #808a92; font: 15px/1.32 Roboto, "Noto Color Emoji", sans-serif }
.chat { width: 395px; height: 1172px; overflow: hidden; border-radius: 18px; background: var(--wall); color: var(--ink) }
.light { --wall: #cfdfc7; --bubble: #fff; --ink: #111; --faint: #8a9aa5; --link: #2678b6; --button: #5b7f55b0; --bar: #fff; --quote: #eef5fb }
.dark { --wall: #0e1621; --bubble: #182533; --ink: #f2f4f5; --faint: #6d7f8f; --link: #6ab3f3; --button: #22303f; --bar: #17212b; --quote: #1f3143 }
.bar { background: var(--bar); padding: 9px 16px; font-weight: 500; display: flex; gap: 10px; align-items: center }
.bar i { width: 32px; height: 32px; border-radius: 50%; background: var(--link); color: #fff; font: 500 15px/32px Roboto; text-align: center }
.message { margin: 7px 8px 0; width: 352px }
.bubble { background: var(--bubble); border-radius: 14px; padding: 7px 11px 6px; white-space: pre-wrap; overflow-wrap: break-word; display: flow-root }
.bubble a { color: var(--link); text-decoration: none }
.bubble time { float: right; font-size: 11.5px; color: var(--faint); margin: 6px 0 0 8px }
.bubble blockquote, .answer { background: var(--quote); border-left: 3px solid var(--link); border-radius: 5px; padding: 3px 8px; font-size: 14px; margin: 1px 0 }
.answer { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; margin-bottom: 4px }
.answer b { color: var(--link); display: block; font-weight: 500 }
.row { display: flex; gap: 4px; margin-top: 4px }
.row span { flex: 1; text-align: center; padding: 7px 0; border-radius: 9px; background: var(--button); color: #fff; font-size: 14px; font-weight: 500 }
.file { display: flex; gap: 10px; align-items: center }
.file i { width: 42px; height: 42px; border-radius: 50%; background: var(--link); color: #fff; font: 20px/42px Roboto; text-align: center }
.file small { color: var(--faint); display: block }
"""


def section(name: str, head: str) -> tuple[str, str]:
    """The first section of a golden file whose head begins so: the rest of its head, and its text."""
    text = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    found = re.search(rf"^--- {head}([^\n]*)\n(.*?)(?=\n--- |\Z)", text, re.M | re.S)
    if not found:
        raise SystemExit(f"{name}.txt has no section {head}")
    return found[1].strip(), found[2].rstrip("\n")


def message(name: str, time: str, *, buttons=(), answers=None, document=False, is_edited=False) -> str:
    text = section(name, "html ")[1]
    # A quote is a block; the line breaks around it are not to be seen twice.
    text = re.sub(r"\n?(<blockquote[^>]*>.*?</blockquote>)\n?", r"\1", text, flags=re.S)
    answered = ""
    if answers:
        first = html.escape(section(answers, "plain ")[1].splitlines()[0])
        answered = f'<div class="answer"><b>Hermes alerts</b>{first}</div>'
    when = f"edited {time}" if is_edited else time
    rows = "".join(f'<div class="row">{"".join(f"<span>{label}</span>" for label in row)}</div>' for row in buttons)
    drawn = f'<div class="message"><div class="bubble">{answered}{text}<time>{when}</time></div>{rows}</div>'
    if document:
        file = section(name, "document ")[0].split()[0]
        drawn += (f'<div class="message"><div class="bubble"><div class="file"><i>⬇</i><div>{html.escape(file)}'
                  f"<small>every alert in full</small></div></div><time>{time}</time></div></div>")
    return drawn


def page() -> str:
    chats = []
    for name, scheme, messages in CHATS:
        drawn = "".join(message(golden, time, **more) for golden, time, more in messages)
        chats.append(f'<div class="chat {scheme}"><div class="bar"><i>{name[0].upper()}</i>{name}</div>{drawn}</div>')
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{"".join(chats)}'


def pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and RGB pixels of a PNG as Chromium writes it: 8 bit per channel, not interlaced."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    size = {2: 3, 6: 4}[kind]
    data, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    raw, stride = zlib.decompress(data), width * size
    above, found = bytearray(stride), []
    for row in range(height):
        start = row * (stride + 1)
        how, line = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        for index in range(stride):
            left = line[index - size] if index >= size else 0
            up = above[index]
            if how == 1:
                line[index] = (line[index] + left) & 255
            elif how == 2:
                line[index] = (line[index] + up) & 255
            elif how == 3:
                line[index] = (line[index] + (left + up) // 2) & 255
            elif how == 4:
                corner = above[index - size] if index >= size else 0
                guess = left + up - corner
                near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
                line[index] = (line[index] + near[2]) & 255
        found += [bytes(line[index:index + 3]) for index in range(0, stride, size)]
        above = line
    return width, height, found


def with_few_colours(png: bytes) -> bytes:
    """The same picture with 256 colours, which is a third of the size."""
    width, height, found = pixels(png)
    # Colours that are nearly the same count as one, so that rare but bright ones get a place.
    counts = collections.Counter(tuple(channel & 0xF0 for channel in colour) for colour in found)
    exact = collections.Counter(found)
    palette = [colour for colour, _ in exact.most_common(48)]
    palette += [bytes(channel | 8 for channel in coarse) for coarse, _ in counts.most_common(256 - len(palette))]

    @functools.cache
    def nearest(colour: bytes) -> int:
        return min(range(len(palette)), key=lambda index: sum((a - b) ** 2 for a, b in zip(palette[index], colour)))

    rows = (bytes(map(nearest, found[row * width:(row + 1) * width])) for row in range(height))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(palette)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9)),
        (b"IEND", b""),
    ]
    written = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        written += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return written


def main() -> None:
    labels = LABELS.read_text(encoding="utf-8")
    for label in [FIRING[0][0], "🔕 {}", SILENCED[1][0]]:
        if f'"{label}"' not in labels:
            raise SystemExit(f"{LABELS} has no {label}; set the labels of the buttons right here")
    chromium = sys.argv[1] if len(sys.argv) > 1 else "chromium"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "messages.html"
        source.write_text(page(), encoding="utf-8")
        drawn = Path(folder) / "messages.png"
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={drawn}", source.as_uri()],
            check=True, capture_output=True, timeout=120)
        PICTURE.write_bytes(with_few_colours(drawn.read_bytes()))


if __name__ == "__main__":
    main()
