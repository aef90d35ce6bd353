"""One core is enough for tiny networks, and leaves the others to whoever else works here."""

import torch

torch.set_num_threads(1)
