"""A text that arrives in small pieces."""

MOST_PIECES = 16
_LONG = 512
"""Letters of a piece, on average, from which on its own memory hardly counts."""


class JoinedText:
    """Pieces of a text, kept in blocks of 16.

    A short piece takes fifteen times as much memory as its letters, and a stream may live for an hour. A block costs
    one copy of each letter; if all were one block, each piece would cost a copy of all before it.
    """

    __slots__ = ("_blocks", "_length", "pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._length = 0
        """Code points of the blocks."""
        self.pieces: list[str] = []
        """All since the last block. Whoever adds to it calls `join` at MOST_PIECES."""

    def __len__(self) -> int:
        """Return the number of code points so far."""
        return self._length + sum(map(len, self.pieces))

    def __str__(self) -> str:
        return "".join([*self._blocks, *self.pieces])

    def add(self, piece: str) -> None:
        """Add a piece at the end."""
        self.pieces.append(piece)
        if len(self.pieces) >= MOST_PIECES:
            self.join()

    def extend(self, pieces: list[str]) -> None:
        """Add some pieces at the end."""
        self.pieces += pieces
        if len(self.pieces) >= MOST_PIECES:
            self.join()

    def join(self) -> None:
        """Make the pieces a block, or a block each if they are long: other texts refer to the same ones."""
        pieces = self.pieces
        size = sum(map(len, pieces))
        self._length += size
        if size >= _LONG * len(pieces):
            self._blocks += pieces
        else:
            self._blocks.append("".join(pieces))
        pieces.clear()
