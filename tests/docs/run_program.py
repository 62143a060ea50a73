#!/usr/bin/env python3
"""Runs a program in a fresh temporary directory that holds copies of the given files.

    run_program.py PROGRAM [FILE...]
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

program, files = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
with tempfile.TemporaryDirectory(prefix="setget-docs-") as directory:
    for file in files:
        shutil.copy(file, directory)
    sys.exit(subprocess.run([program], cwd=directory, timeout=100).returncode)
