"""Spherical k-means against numbers by hand, an independent judge, and its promises."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn import functional

from homerange.train.kmeans import spherical_kmeans


def around(directions, each, *, spread=0.05, seed=0):
    """Tokens scattered around directions, of lengths between 0.1 and 10, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    centre_ED = functional.normalize(torch.as_tensor(directions, dtype=torch.float), dim=1)
    x_TD = centre_ED.repeat(each, 1)
    x_TD = x_TD + spread * torch.randn(x_TD.shape, generator=generator)
    length_T1 = 10 ** (2 * torch.rand(len(x_TD), 1, generator=generator) - 1)
    return (x_TD * length_T1)[torch.randperm(len(x_TD), generator=generator)]


def test_one_pass_by_hand():
    # One centre: the direction of the sum of the unit vectors (1, 0) and (0, 1), whatever their
    # lengths: (1, 1) / sqrt 2. One minus the cosine of 45 degrees: 1 - 0.7071 = 0.2929.
    found = spherical_kmeans(torch.tensor([[5.0, 0.0], [0.0, 0.1]]), 1, steps=1, seed=0)
    torch.testing.assert_close(found.centre_ED, torch.full((1, 2), math.sqrt(0.5)))
    assert found.inertia == pytest.approx(0.2929, abs=1e-4)
    assert found.size_E.tolist() == [2]


def test_planted_directions_are_found_however_long_the_tokens_are():
    planted_ED = torch.eye(4)
    found = spherical_kmeans(around(planted_ED, 50), 4, steps=10, seed=1)
    nearest_E = (found.centre_ED @ planted_ED.T).max(1)
    assert sorted(nearest_E.indices.tolist()) == [0, 1, 2, 3]
    assert nearest_E.values.min() > 0.99
    assert found.size_E.tolist() == [50] * 4


def test_it_is_as_good_as_scikit_learn_on_unit_vectors():
    # On the sphere the squared distance is twice one minus the cosine.
    x_TD = functional.normalize(torch.randn(600, 5, generator=torch.Generator().manual_seed(4)))
    found = spherical_kmeans(x_TD, 8, steps=50, seed=0)
    judge = KMeans(8, n_init=1, random_state=0).fit(x_TD.numpy())
    centre_ED = functional.normalize(torch.tensor(judge.cluster_centers_).float())
    theirs = float(1 - (x_TD @ centre_ED.T).amax(1).mean())
    assert found.inertia < 1.05 * theirs


def test_more_passes_never_serve_the_tokens_worse():
    x_TD = torch.randn(500, 6, generator=torch.Generator().manual_seed(2))
    inertia = [spherical_kmeans(x_TD, 12, steps=steps, seed=0).inertia for steps in range(8)]
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(inertia))
    assert inertia[-1] < inertia[0]


def test_a_centre_without_tokens_moves_to_the_token_that_is_worst_served(monkeypatch):
    # Both seeds at (1, 0): the second has no token at first (argmax takes the lower index).
    x_TD = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    monkeypatch.setattr("homerange.train.kmeans._seeds", lambda x, n, g: x[[0, 0]].clone())
    found = spherical_kmeans(x_TD, 2, steps=2, seed=0)
    assert sorted(found.size_E.tolist()) == [1, 2]
    torch.testing.assert_close(found.centre_ED[1], torch.tensor([-1.0, 0.0]))


def test_a_seed_fixes_everything_and_parts_do_not_matter(monkeypatch):
    x_TD = around(np.eye(3), 40)
    first = spherical_kmeans(x_TD, 3, steps=5, seed=7)
    monkeypatch.setattr("homerange.train.kmeans.AT_A_TIME", 7)
    again = spherical_kmeans(x_TD, 3, steps=5, seed=7)
    torch.testing.assert_close(first.centre_ED, again.centre_ED)


def test_equal_tokens_can_be_clustered_too():
    found = spherical_kmeans(torch.ones(9, 3), 4, steps=3, seed=0)
    assert found.inertia == pytest.approx(0, abs=1e-6)
    assert int(found.size_E.sum()) == 9


def test_too_few_tokens_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="3 tokens cannot make 4 clusters; collect more"):
        spherical_kmeans(torch.ones(3, 2), 4, steps=1, seed=0)
