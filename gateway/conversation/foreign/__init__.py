"""Foreign shapes: what other vendors' dialects say, read from the client's own JSON.

A surface reads its own shapes by typed structs. What they have no place for raises `UnknownShape`; in lenient mode the
message, item, tool or choice is then read here, from any dialect, or told as text. Strict mode refuses it.
"""
