"""Blocks that optimising controllers are assembled from: small functions that return variables, constraints or costs.

Each block knows one piece of the model (power flow, storage, routing, links, margins, cost) and nothing of the others.
Inside a block powers may be per unit; its boundary says so.
"""
