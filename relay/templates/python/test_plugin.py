"""Runs the fixtures natively: python -m unittest"""

import unittest

import plugin
from relay_sdk.testing import fixtures


class Fixtures(unittest.TestCase):
    def test_fixtures(self):
        fixtures(self, plugin)


if __name__ == "__main__":
    unittest.main()
