"""What a kind of device promises, and how a device is tried: from an entry of the config to steps and plans."""
