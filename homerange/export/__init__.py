"""Networks written for other runtimes: one runtime or network, one file. Uses torch."""
