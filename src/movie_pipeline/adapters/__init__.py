"""One outside thing in each module, with its retries."""
