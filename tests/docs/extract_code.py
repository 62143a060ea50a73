#!/usr/bin/env python3
"""Writes the C++ blocks of Markdown files as programs, so that the tests can compile and run them.

    extract_code.py OUTPUT_DIRECTORY FILE.md...

Every block that is fenced as `cpp` is taken; documentation has no C++ that is not compiled.

    ```cpp              a program of its own, called <file>_<n>
    ```cpp file=NAME    the next part of program NAME
    ```cpp body=NAME    the next part of the main() of program NAME, after all its file= parts

Prints the names of the programs, one a line. Lines are marked with #line, so that compilers name the document.
"""
import pathlib
import re
import sys

FENCE = re.compile(r"^```\s*(\S*)\s*(.*)$")


def blocks(document):
    """Yields (info string, number of the first line, lines) of each C++ block."""
    language, info, first, lines = None, "", 0, []
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if not fence:
            lines.append(line)
        elif language is None:
            language, info, first, lines = fence.group(1), fence.group(2).strip(), number + 1, []
        else:
            if language == "cpp":
                yield info, first, lines
            language = None
    if language is not None:
        sys.exit(f"{document}: a code block is not closed")


def programs(documents):
    """The text of each program, by name."""
    parts, bodies = {}, {}
    for document in documents:
        for count, (info, first, lines) in enumerate(blocks(document), 1):
            text = "\n".join([f'#line {first} "{document.name}"', *lines, ""])
            kind, _, name = info.partition("=")
            if not info:
                kind, name = "file", f"{document.stem.lower()}_{count}".replace("-", "_")
            if kind not in ("file", "body") or not re.fullmatch(r"\w+", name):
                sys.exit(f"{document}:{first}: cannot read \"cpp {info}\"; expected file=NAME or body=NAME")
            (parts if kind == "file" else bodies).setdefault(name, []).append(text)
    for name in bodies.keys() - parts.keys():
        sys.exit(f"the main() of {name} has no file= part")
    return {
        name: "\n".join([*texts, *(["int main() {", *bodies[name], "}", ""] if name in bodies else [])])
        for name, texts in parts.items()
    }


def main():
    output = pathlib.Path(sys.argv[1])
    output.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(programs([pathlib.Path(p) for p in sys.argv[2:]]).items()):
        path = output / f"{name}.cpp"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # unchanged ones need no new build
            path.write_text(text, encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
