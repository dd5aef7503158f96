"""{{description}}."""

from relay_sdk import Event, drop, keep


def filter(event: Event):
    if event.get("/test") is True:
        return drop("a test")
    return keep()
