"""A stand-in for the relay, so that ``python -m unittest`` runs a plugin without WebAssembly::

    import unittest

    import plugin
    from relay_sdk import drop
    from relay_sdk.testing import Host, event, fixtures

    class Plugin(unittest.TestCase):
        def test_fixtures(self):
            fixtures(self, plugin)

        def test_tests_stop_here(self):
            result = Host().transform(plugin.transform, event("order.paid", {"test": True}))
            self.assertEqual(result.dropped, "a test")

What the stand-in leaves out is what a plugin cannot see: limits, and the check of a configuration against its
schema. `relay plugin test` runs the same fixtures in the real relay.
"""

from ._apply import Sent
from ._fixtures import fixtures
from ._host import Host, Replied, Transformed
from ._samples import SampleAnswer, SampleEvent, SampleRequest, answer, event, request

__all__ = [
    "Host",
    "Replied",
    "SampleAnswer",
    "SampleEvent",
    "SampleRequest",
    "Sent",
    "Transformed",
    "answer",
    "event",
    "fixtures",
    "request",
]
