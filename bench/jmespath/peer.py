# PyPI jmespath on the input that bench/jmespath.cpp writes: nanoseconds for each evaluation of each expression, and for reading a document.
import json
import sys
import time

import jmespath

given = json.load(open(sys.argv[1]))
documents = [json.loads(text) for text in given["documents"]]


def evaluate(expression):
    for one in documents:
        try:
            expression.search(one)
        except jmespath.exceptions.JMESPathError:
            pass


def nanoseconds(work):
    best = float("inf")
    for _ in range(3):
        start, rounds = time.perf_counter(), 0
        while rounds == 0 or time.perf_counter() - start < given["seconds"]:
            work()
            rounds += 1
        best = min(best, (time.perf_counter() - start) / rounds / len(documents))
    return best * 1e9


for text in given["expressions"]:
    compiled = jmespath.compile(text)
    print(f"{nanoseconds(lambda: evaluate(compiled)):.2f}")
print(f"{nanoseconds(lambda: [json.loads(text) for text in given['documents']]):.2f}")
