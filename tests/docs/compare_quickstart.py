#!/usr/bin/env python3
"""README's first C++ block and examples/quickstart/main.cpp are the same program, but for its opening comment and its layout.

    compare_quickstart.py README.md main.cpp
"""
import pathlib
import re
import sys

readme, source = (pathlib.Path(p).read_text(encoding="utf-8") for p in sys.argv[1:3])
shown = re.search(r"^```cpp\n(.*?)^```", readme, re.M | re.S)
if not shown:
    sys.exit("README.md shows no C++ program")
compiled = re.sub(r"\A(//.*\n)*", "", source)


def tokens(text):
    return re.findall(r'"(?:\\.|[^"])*"|//[^\n]*|\w+|\S', text)


if tokens(shown.group(1)) != tokens(compiled):
    sys.exit("README.md and examples/quickstart/main.cpp differ")
