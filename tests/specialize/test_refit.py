"""Class rows that learn: the fit against scikit-learn's, the laws of a prior, and what judges."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from homerange.specialize.adapt import refit as module
from homerange.specialize.adapt.refit import Rows, newest_third, refit, teach

D, C, N = 7, 4, 200


def draw(seed=0, photos=N, shift=0.0):
    """Photos around the rows of their classes, and those rows."""
    rng = np.random.default_rng(seed)
    rows = Rows(rng.normal(size=(C, D)).astype(np.float32), np.zeros(C, np.float32))
    class_N = rng.integers(0, C, photos)
    feature_ND = rows.weight_CD[class_N] + rng.normal(size=(photos, D)) + shift
    return rows, feature_ND.astype(np.float32), class_N


def test_from_rows_of_zero_it_is_the_regression_of_scikit_learn():
    # refit scales photos to length one and pulls by 1 / (N spread^2); scikit-learn minimises
    # C * sum of losses + |w|^2 / 2 on the same scaled photos, so C = spread^2. It leaves the
    # intercept free, so here photos are balanced and the mean of the data is 0 for both.
    rng = np.random.default_rng(1)
    half_ND = rng.normal(size=(50, D)).astype(np.float32)
    feature_ND = np.concatenate([half_ND + 1, -half_ND - 1])
    class_N = np.repeat([0, 1], 50)
    found = refit(
        Rows(np.zeros((2, D), np.float32), np.zeros(2, np.float32)), feature_ND, class_N, spread=0.5
    )
    length = np.sqrt(np.square(feature_ND).sum(1).mean())
    # Two rows of size w and -w cost 2 w^2 / 2 and give a difference of 2 w: as one row of 2 w that
    # costs (2 w)^2 / 4, half of what scikit-learn counts. So its C is twice ours.
    judge = LogisticRegression(C=2 * 0.5**2, tol=1e-8, max_iter=1000)
    judge.fit(feature_ND / length, class_N)
    np.testing.assert_allclose(
        (found.weight_CD[1] - found.weight_CD[0]) * length, judge.coef_[0], atol=2e-3
    )


def test_a_tight_prior_moves_nothing_and_a_loose_one_fits_the_photos():
    rows, feature_ND, class_N = draw(shift=3.0)
    tight = refit(rows, feature_ND, class_N, spread=1e-4)
    np.testing.assert_allclose(tight.logits(feature_ND), rows.logits(feature_ND), atol=1e-2)
    loose = refit(rows, feature_ND, class_N, spread=10.0)
    assert (loose.answer(feature_ND) == class_N).mean() > (
        rows.answer(feature_ND) == class_N
    ).mean()


@pytest.mark.parametrize(("scale", "offset"), [(100.0, 0.0), (1.0, 50.0)])
def test_the_size_and_the_middle_of_features_do_not_matter(scale, offset):
    # Photos of another scale, and rows that answer them alike, come to the same answers.
    rows, feature_ND, class_N = draw()
    found = refit(rows, feature_ND, class_N, spread=1.0)
    other_CD = rows.weight_CD / scale
    other = Rows(other_CD, rows.bias_C - offset * other_CD.sum(1))
    moved_ND = feature_ND * np.float32(scale) + np.float32(offset)
    again = refit(other, moved_ND, class_N, spread=1.0)
    np.testing.assert_allclose(again.logits(moved_ND), found.logits(feature_ND), atol=5e-3)


def test_a_class_without_corrections_keeps_the_direction_of_its_row():
    rows, feature_ND, class_N = draw()
    some_N = class_N != 2
    found = refit(rows, feature_ND[some_N], class_N[some_N], spread=0.3)
    a, b = found.weight_CD[2], rows.weight_CD[2]
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98


def test_a_new_row_is_the_mean_of_the_others_and_learns_its_class():
    rows, feature_ND, class_N = draw()
    grown = Rows(rows.weight_CD[:-1], rows.bias_C[:-1]).with_new(1)
    np.testing.assert_allclose(grown.weight_CD[-1], rows.weight_CD[:-1].mean(0), rtol=1e-6)
    found = refit(grown, feature_ND, class_N, spread=3.0)
    new_N = class_N == C - 1
    assert (found.answer(feature_ND[new_N]) == C - 1).mean() > 0.8


def test_the_newest_photos_judge_and_do_not_teach(monkeypatch):
    rows, feature_ND, class_N = draw()
    newest_N = newest_third(N)
    taught = teach(rows, feature_ND, class_N, newest_N)
    changed_ND = np.where(newest_N[:, None], feature_ND + 9, feature_ND)
    again = teach(rows, changed_ND, class_N, newest_N)
    np.testing.assert_array_equal(again.rows.weight_CD, taught.rows.weight_CD)
    assert again.spread == taught.spread
    # Nor do they help to choose how far rows may move: no fit ever sees one.
    seen = []
    monkeypatch.setattr(
        module, "refit", lambda *given, **how: seen.append(given[1]) or refit(*given, **how)
    )
    teach(rows, feature_ND, class_N, newest_N)
    newest = {row.tobytes() for row in feature_ND[newest_N]}
    assert len(seen) == len(module.SPREADS) + 1
    assert newest.isdisjoint(row.tobytes() for some_ND in seen for row in some_ND)
    np.testing.assert_array_equal(taught.answer_before_M, rows.answer(feature_ND[newest_N]))
    np.testing.assert_array_equal(taught.answer_after_M, taught.rows.answer(feature_ND[newest_N]))


def test_photos_that_moved_are_answered_better_after_than_before():
    rows, feature_ND, class_N = draw(photos=400)
    moved_ND = feature_ND[:, ::-1].copy()
    newest_N = newest_third(400)
    taught = teach(rows, moved_ND, class_N, newest_N)
    truth_M = class_N[newest_N]
    before, after = (taught.answer_before_M == truth_M), (taught.answer_after_M == truth_M)
    assert after.mean() > before.mean() + 0.1


def test_a_visit_of_an_animal_is_not_divided_between_teaching_and_judging():
    minute = 60.0
    time_N = np.array([0, 10, 20, 30, 30.5, 31, 40, 50, 60]) * minute
    # A third of nine is three, so the cut would fall before photo 6; there is no burst there.
    assert newest_third(9, time_N).sum() == 3
    time_N[6] = time_N[5] + 1  # now photo 6 is one second after photo 5: it teaches with it
    assert np.flatnonzero(newest_third(9, time_N)).tolist() == [7, 8]
