"""Documents against code: generated tables, commands, links, names of settings."""
