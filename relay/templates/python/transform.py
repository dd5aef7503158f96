"""{{description}}."""

from relay_sdk import Event, drop


def transform(event: Event):
    if event.get("/test") is True:
        return drop("a test")
    return event.edit().set("/handled_by", "{{name}}").remove("/card")
