"""{{description}}."""

from relay_sdk import Answer, Event


def respond(event: Event, answer: Answer):
    edits = answer.edit().set("/about", event.type).remove("/internal")
    return edits.set_header("x-handled-by", "{{name}}")
