"""Schedules of stations and powers: what trucks and storages make of them, and what the AC grid makes of that."""
