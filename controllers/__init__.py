"""Controllers: what turns measurements and forecasts into plans.

`controllers.contract` says what a controller is given and returns, `controllers.registry` finds one by name or path,
`controllers.conformance` checks one, `controllers.scaffold` writes a new one. Every controller has a file of its own,
assembled from the functions of `controllers.blocks`; controllers never import one another.
"""
