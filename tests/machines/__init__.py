"""Tests on machines; what the helpers assert is told in full, too."""

import pytest

pytest.register_assert_rewrite("tests.machines.trial", "tests.faults.world")
