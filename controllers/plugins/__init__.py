"""Plug-ins: how classes of users are found, and how their output and exceptions are handled."""
