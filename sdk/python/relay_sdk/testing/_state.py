"""State that lives as long as a test's host."""

from __future__ import annotations


class State:
    """Keys, values and the time they live by."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[bytes, float | None]] = {}
        self.now = 0.0

    def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        return None if entry is None or not self._lives(entry) else entry[0]

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        self._entries[key] = (value, None if ttl is None else self.now + ttl)

    def delete(self, key: str) -> None:
        self._entries.pop(key, None)

    def add(self, key: str, delta: int, ttl: float | None) -> int | None:
        """The sum; ``None`` if the value is no counter."""
        present = self.get(key)
        try:
            sum = (0 if present is None else int(present)) + delta
        except ValueError:
            return None
        until = self._entries[key][1] if present is not None else None if ttl is None else self.now + ttl
        self._entries[key] = (str(sum).encode(), until)
        return sum

    def compare_and_set(self, key: str, expected: bytes | None, value: bytes, ttl: float | None) -> bool:
        if self.get(key) != expected:
            return False
        self.set(key, value, ttl)
        return True

    def keys(self, prefix: str, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
        all_keys = sorted((key for key in self._entries if self.get(key) is not None), key=str.encode)
        left = [key for key in all_keys if key.startswith(prefix) and (cursor is None or key > cursor)]
        page = left[:limit]
        return page, page[-1] if page and len(left) > limit else None

    def _lives(self, entry: tuple[bytes, float | None]) -> bool:
        return entry[1] is None or entry[1] > self.now
