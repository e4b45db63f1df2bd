"""Photos one of which takes down the process that reads it, for processes that import them."""

import os
import signal

import vizcnn
from vizcnn.mining.photo_sets import SamplePatches


class CrashingPatches(SamplePatches):
    """Sample patches of which the eighth crashes what decodes it."""

    def read(self, number):
        if number == 7:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().read(number)


def load_lenet():
    """Load the bundled LeNet."""
    return vizcnn.load("lenet", weights="bundled")
