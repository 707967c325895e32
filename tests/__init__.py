"""Tests; they mirror the house. What several of them use is in tests/helpers/."""

import pytest

pytest.register_assert_rewrite("tests.helpers")
