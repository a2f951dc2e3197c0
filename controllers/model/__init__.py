"""The dispatch models: power flow, devices, costs and limits in convex and mixed-integer form, and their solutions."""
