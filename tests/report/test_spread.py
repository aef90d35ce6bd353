"""The share of the land that species cover, and the curves that are fitted to it."""

import math

import numpy as np
import pytest
import s2geometry as s2
from scipy import stats

from homerange.errors import ManifestError
from homerange.geo.land import land_points
from homerange.report.spread import (
    draw_spread,
    spread_of_presence,
    spread_of_records,
    spread_table,
)
from homerange.report.tail_fits import LogNormal, PowerLaw, likelier

NAIROBI, MOMBASA, BOSTON, OCEAN = (-1.29, 36.8), (-4.0, 39.6), (42.36, -71.06), (-45.0, -130.0)


def s2_cell(latitude, longitude, level):
    return s2.S2CellId(s2.S2LatLng.FromDegrees(latitude, longitude)).parent(level).id()


def test_a_species_covers_the_land_of_its_cells_and_a_cell_counts_once():
    # The judge of cells is the S2 library; level 2 cells are about 2,300 km wide.
    latlon_P2, share_P = land_points()
    cell_P = np.array([s2_cell(*one, 2) for one in latlon_P2[::16].tolist()])
    records = {
        "Panthera leo": [NAIROBI, NAIROBI, MOMBASA],
        "Castor canadensis": [BOSTON],
        "Velella velella": [OCEAN],
        "Everywhere": [NAIROBI, BOSTON, OCEAN],
    }
    names = [name for name, places in records.items() for _ in places]
    places = np.array([place for of in records.values() for place in of])
    spread = spread_of_records(names, places, level=2)
    found = dict(zip(spread.species, spread.share_S.tolist(), strict=True))
    for name, own in records.items():
        cells = {s2_cell(*place, 2) for place in own}
        expected = 16 * share_P[::16][np.isin(cell_P, list(cells))].sum()
        assert found[name] == pytest.approx(expected, abs=0.004), name
    assert found["Velella velella"] == 0
    assert found["Everywhere"] == found["Castor canadensis"] + found["Panthera leo"]
    assert s2_cell(*NAIROBI, 2) == s2_cell(*MOMBASA, 2)  # so a lion that is seen there gains none
    assert spread.how == "8 records; S2 cells of level 2 (2,324 km) with a record"


def test_a_presence_model_counts_where_it_reaches_the_threshold():
    def presence(latlon_P2):
        north = latlon_P2[:, 0] > 0
        return np.stack([0.5 * north, 0.05 + 0.0 * north, np.where(north, 0.1, 0.0)], axis=1)

    latlon_P2, share_P = land_points(1.0)
    north = share_P[latlon_P2[:, 0] > 0].sum()
    names = ("Ursus maritimus", "Passer domesticus", "at the threshold")
    assert spread_of_presence(names, presence).share_S == pytest.approx([north, 0, north])
    low = spread_of_presence(names, presence, present_from=0.02)
    assert low.share_S == pytest.approx([north, 1, north])
    assert low.how.startswith("presence model at least 0.02, at ")


def test_without_records_nothing_is_covered():
    with pytest.raises(ManifestError, match="no species has coordinates"):
        spread_of_records([], np.zeros((0, 2)))


def test_the_table_is_in_order_and_has_both_curves():
    spread = spread_of_records(["a", "b", "b"], np.array([BOSTON, BOSTON, NAIROBI]), level=2)
    table = spread_table(spread)
    assert (table["rank"], table["species"]) == ([1, 2], ["b", "a"])
    assert table["power_law"] == table["log_normal"] == [None, None]  # two species are too few
    texts = [text.get_text() for text in draw_spread(spread).texts]
    assert texts[-1] == "Too few different values to fit a curve: 10 are needed."


def test_a_power_law_by_hand():
    # 1, 2, 4 from 1 on: alpha = 1 + 3 / (ln 1 + ln 2 + ln 4) = 1 + 1 / ln 2. The curve reaches
    # 0, 1 - 1/e, 1 - 1/e2 = 0, 0.632, 0.865; the data step 0-1/3, 1/3-2/3, 2/3-1: the largest
    # distance is 1/3, at the first.
    law = PowerLaw.above_smallest(np.array([1.0, 2.0, 4.0]), 1.0)
    assert law.alpha == pytest.approx(1 + 1 / math.log(2))
    assert law.distance == pytest.approx(1 / 3)
    assert law.above(np.array([2.0, 4.0])) == pytest.approx([math.exp(-1), math.exp(-2)])
    x = np.array([1.0, 1.5, 9.0])
    assert law.log_density(x) == pytest.approx(stats.pareto.logpdf(x, law.alpha - 1))


def test_the_smallest_value_of_a_power_law_is_where_it_begins():
    # 200 values that fall as a power law from 1 on, below them 200 that do not.
    tail = (1 - (np.arange(200) + 0.5) / 200) ** (-1 / 1.5)
    x = np.concatenate([tail, np.linspace(0.5, 0.999, 200)])
    law = PowerLaw.fit(x)
    assert law.smallest == pytest.approx(1, abs=0.05)
    assert law.alpha == pytest.approx(2.5, abs=0.15)
    assert law.values == (x >= law.smallest).sum()


def test_a_log_normal_is_that_of_scipy():
    x = np.exp(np.random.default_rng(0).normal(-3, 0.7, 300))
    normal = LogNormal.fit(x)
    shape, _, scale = stats.lognorm.fit(x, floc=0)
    assert (normal.deviation, math.exp(normal.mean)) == pytest.approx((shape, scale), rel=1e-3)
    judge = stats.lognorm(normal.deviation, scale=math.exp(normal.mean))
    assert normal.above(x) == pytest.approx(judge.sf(x))
    assert normal.log_density(x) == pytest.approx(judge.logpdf(x))
    assert normal.distance == pytest.approx(stats.kstest(x, judge.cdf).statistic)


@pytest.mark.parametrize("kind", ["power law", "log-normal"])
def test_the_curve_that_values_were_drawn_from_is_the_likelier_one(kind):
    rng = np.random.default_rng(0)
    x = 0.01 * (1 + rng.pareto(1.5, 400) if kind == "power law" else rng.lognormal(0, 1, 400))
    gain, z = likelier(x, LogNormal.fit(x))
    assert (gain > 0, z > 2) == ((True, True) if kind == "power law" else (False, False))
    judge = stats.pareto.logpdf(x, 1 / np.log(x / x.min()).mean(), scale=x.min())
    assert gain == pytest.approx((judge - LogNormal.fit(x).log_density(x)).sum())


@pytest.mark.parametrize("x", [np.full(20, 0.1), np.array([0.1, 0.2])])
def test_values_that_are_few_or_alike_have_no_curve(x):
    assert PowerLaw.fit(x) is None
    assert LogNormal.fit(x) is None
