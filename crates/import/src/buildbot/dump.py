# Prints the syntax tree of the Python program on stdin as JSON. The program is parsed, never run.
import ast
import json
import sys

SKIP = {"ctx", "type_comment", "kind", "type_ignores", "type_params", "returns", "annotation"}


def show(node):
    if isinstance(node, list):
        return [show(one) for one in node]
    if not isinstance(node, ast.AST):
        return node if node is None or isinstance(node, (str, int)) else repr(node)
    out = {"t": type(node).__name__}
    if hasattr(node, "lineno"):
        out["l"] = node.lineno
        out["c"] = node.col_offset + 1
    if isinstance(node, ast.Constant):
        kind = type(node.value).__name__
        out["k"] = kind
        out["v"] = node.value if kind in ("str", "bool", "NoneType") else repr(node.value)
        return out
    for name, value in ast.iter_fields(node):
        if name not in SKIP:
            out[name] = show(value)
    return out


try:
    tree = show(ast.parse(sys.stdin.buffer.read()))
    json.dump(tree, sys.stdout)
except SyntaxError as error:
    json.dump({"t": "Error", "l": error.lineno or 1, "c": error.offset or 1, "v": str(error.msg)}, sys.stdout)
except (ValueError, RecursionError, MemoryError) as error:
    json.dump({"t": "Error", "l": 1, "c": 1, "v": str(error) or type(error).__name__}, sys.stdout)
