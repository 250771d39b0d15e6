"""HTTP/1.1 to one origin: a pool of connections, each with one request at a time.

A connection is used again only if its response was whole, its request was written whole, both sides keep it, and no
byte came that was not asked for. Everything else cuts it. Nothing is repeated here, and no redirect is followed.
"""
