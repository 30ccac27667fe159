#!/usr/bin/env python3
"""Makes the dashboards beside it from the source in source/.

python3 dashboards/build.py           writes hermes-fleet.json and hermes-instance.json
python3 dashboards/build.py --check   fails where they are not what it would write
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from source import fleet, instance  # noqa: E402


def files() -> dict[Path, str]:
    """What is to be in each file."""
    made = {"hermes-fleet.json": fleet.made(), "hermes-instance.json": instance.made()}
    return {HERE / name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in made.items()}


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 64
    stale = [file for file, text in files().items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in stale:
        if check:
            print(
                f"{file.name} is not what build.py makes of source/; run python3 dashboards/build.py", file=sys.stderr
            )
        else:
            file.write_text(files()[file], encoding="utf-8")
            print(f"wrote {file.name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
