"""For all tests: none asserts how long anything takes, hypothesis' own ones included."""

from hypothesis import settings

settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
