"""The success model: features, training with honest figures, files that are loaded only when they are intact."""
