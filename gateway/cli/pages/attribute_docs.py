"""Texts below the attributes of a class, which Python keeps only in the source."""

import ast
import inspect
import textwrap


def attribute_docs(cls: type) -> dict[str, str]:
    """Return the text below each annotated attribute, on one line; inherited ones included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("gateway."):
            docs |= _own_docs(base)
    return docs


def _own_docs(cls: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - the source of a class
    docs: dict[str, str] = {}
    for attribute, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(doc))):
                    docs[attribute.target.id] = " ".join(doc.split())
    return docs
