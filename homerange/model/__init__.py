"""The network: a MobileViTV2 encoder, a class head, and the checkpoint that holds them."""
