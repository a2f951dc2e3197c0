"""Promises of kinds of devices and their tests, from a config entry to steps and plans."""
