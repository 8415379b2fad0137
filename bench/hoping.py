"""``wireloom`` without a way back: it proves a change as ever, and hopes. For ``bench/safety.py`` alone.

As ``careless.py``, but for the proof, which an apply without commit-confirm has as well.
"""

import sys

import recorder
from careless import forget_safety

if __name__ == "__main__":
    forget_safety(prove=True)
    sys.exit(recorder.main(*sys.argv[1:]))
