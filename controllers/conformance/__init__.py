"""Conformance of controllers and devices: suites, sample plants, a dry run, scaffolds."""

from gridferry.controllers.conformance.suite import assert_conforms, check_controller

__all__ = ["assert_conforms", "check_controller"]
