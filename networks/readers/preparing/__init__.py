"""What a pandapower net has that a radial feeder has not, brought into a form that it has."""
