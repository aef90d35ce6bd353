"""Countries: found by code and name, as large as they are, and where they are."""

import numpy as np
import pytest

from homerange.errors import PlaceError
from homerange.geo.countries import FILE, Country, all_countries, find_country


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("KEN", "KEN"), ("ke", "KEN"), (" kenya ", "KEN"), ("Republic of Kenya", "KEN"),
        ("Cote d'Ivoire", "CIV"), ("Ivory Coast", "CIV"), ("Türkiye", "TUR"), ("Turkey", "TUR"),
        ("UK", "GBR"), ("GB", "GBR"), ("U.S. Virgin Is.", "VIR"), ("usa", "USA"),
        ("DR Congo", "COD"), ("Congo", "COG"), ("Niger", "NER"), ("Nigeria", "NGA"),
        ("Kosovo", "XKX"), ("Somaliland", "SOL"), ("Tuvalu", "TUV"), ("Lao PDR", None),
    ],
)  # fmt: skip
def test_a_country_is_found_by_codes_and_names(text, code):
    if code:
        assert find_country(text) == Country(code)
    else:
        with pytest.raises(PlaceError, match="is no country that is known"):
            find_country(text)


def test_a_typing_mistake_is_not_guessed_but_answered_with_near_names():
    with pytest.raises(PlaceError) as caught:
        find_country("Kenia")
    assert str(caught.value).startswith(
        "'Kenia' is no country that is known; did you mean Kenya (KEN)"
    )
    assert "Expected a code of ISO 3166-1 (KEN, KE) or an English name" in str(caught.value)
    with pytest.raises(PlaceError, match=r"'zzzzzz' is no country that is known\. Expected a code"):
        find_country("zzzzzz")


def test_a_code_that_no_country_has_is_refused():
    with pytest.raises(PlaceError, match=r"'ken' is the code of no country; expected one of 242"):
        Country("ken")


@pytest.mark.parametrize(
    ("code", "area_km2", "latlon"),
    [
        ("KEN", 580_367, (0.5, 37.9)), ("LSO", 30_355, (-29.6, 28.2)),
        ("FJI", 18_274, (-17.8, 178)), ("RUS", 17_098_246, (62.0, 100.0)),
        ("USA", 9_525_067, (64.8, -150.0)),
        ("MDV", 298, None), ("ITA", 301_339, (42.7, 12.6)), ("NZL", 268_021, (-43.5, 171.5)),
    ],
)  # fmt: skip
def test_countries_are_as_large_as_they_are_and_where_they_are(code, area_km2, latlon):
    outline = Country(code).outline
    assert outline.area_km2 == pytest.approx(area_km2, rel=0.25 if code == "MDV" else 0.04)
    assert latlon is None or outline.holds(np.array([latlon], float))[0]


def test_an_enclave_belongs_to_itself():
    maseru = np.array([[-29.6, 28.2]])
    assert Country("LSO").outline.holds(maseru)[0]
    assert not Country("ZAF").outline.holds(maseru)[0]


def test_every_country_has_a_name_an_area_and_an_own_code():
    countries = all_countries()
    assert len(countries) == len({one.code for one in countries}) == 242
    for one in countries:
        assert one.name
        assert 0 < one.radius_km < 2500
        assert find_country(one.code) == find_country(one.name) == one


def test_the_file_stays_small():
    assert FILE.stat().st_size < 400_000
