"""What a controller promises, and how an author tries it: the suite, sample plants, a dry run, the scaffold."""

from gridferry.controllers.conformance.suite import assert_conforms, check_controller

__all__ = ["assert_conforms", "check_controller"]
