"""What a run would cost, found out by a probe: the very method in a folder of its own, its loops cut short."""
