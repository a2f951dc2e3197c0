"""Controllers in a process of their own: whatever their code does there, the simulation stays as it is."""
