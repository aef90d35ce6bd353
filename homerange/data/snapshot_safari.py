"""What we know of Snapshot Safari: its reserves, and which species its category names mean.

Source: the data sets "Snapshot Enonkishu" and "Snapshot Mountain Zebra" at LILA BC
(https://lila.science/datasets/snapshot-safari). LILA gives no coordinates of cameras; those here
are the middle of each reserve. Categories that are no single species (bird, mongoose, rodents,
domesticanimal ...) or that are people are left out on purpose.
"""

from dataclasses import dataclass

__all__ = ["RESERVES", "Reserve", "species_of"]


@dataclass(frozen=True)
class Reserve:
    """One reserve of Snapshot Safari."""

    code: str
    name: str
    metadata: str
    latitude_deg: float
    longitude_deg: float


RESERVES = (
    Reserve("ENO", "Enonkishu", "SnapshotEnonkishu_S1_v1.0.json.zip", -1.1, 35.2),
    Reserve("MTZ", "Mountain Zebra", "SnapshotMountainZebra_S1_v1.0.json.zip", -32.2, 25.5),
)

# Category -> scientific name (or outcome), common name.
SPECIES = {
    "aardvark": ("Orycteropus afer", "aardvark"),
    "aardwolf": ("Proteles cristata", "aardwolf"),
    "blesbok": ("Damaliscus pygargus", "blesbok"),
    "buffalo": ("Syncerus caffer", "African buffalo"),
    "bushpig": ("Potamochoerus larvatus", "bushpig"),
    "bustardkori": ("Ardeotis kori", "kori bustard"),
    "caracal": ("Caracal caracal", "caracal"),
    "catafricanwild": ("Felis lybica", "African wildcat"),
    "cheetah": ("Acinonyx jubatus", "cheetah"),
    "dikdik": ("Madoqua kirkii", "Kirk's dik-dik"),
    "duiker": ("Sylvicapra grimmia", "common duiker"),
    "duikercommon": ("Sylvicapra grimmia", "common duiker"),
    "duikercommongrey": ("Sylvicapra grimmia", "common duiker"),
    "eland": ("Tragelaphus oryx", "common eland"),
    "elephant": ("Loxodonta africana", "African elephant"),
    "empty": ("blank", ""),
    "foxbateared": ("Otocyon megalotis", "bat-eared fox"),
    "foxcape": ("Vulpes chama", "Cape fox"),
    "gazellegrants": ("Nanger granti", "Grant's gazelle"),
    "gazellethomsons": ("Eudorcas thomsonii", "Thomson's gazelle"),
    "gemsbokoryx": ("Oryx gazella", "gemsbok"),
    "giraffe": ("Giraffa camelopardalis", "giraffe"),
    "guineafowlhelmeted": ("Numida meleagris", "helmeted guineafowl"),
    "hartebeest": ("Alcelaphus buselaphus", "hartebeest"),
    "hartebeestcokes": ("Alcelaphus buselaphus", "hartebeest"),
    "hartebeestred": ("Alcelaphus buselaphus", "hartebeest"),
    "hippopotamus": ("Hippopotamus amphibius", "hippopotamus"),
    "honeybadger": ("Mellivora capensis", "honey badger"),
    "hyenabrown": ("Parahyaena brunnea", "brown hyena"),
    "hyenaspotted": ("Crocuta crocuta", "spotted hyena"),
    "impala": ("Aepyceros melampus", "impala"),
    "jackalblackbacked": ("Lupulella mesomelas", "black-backed jackal"),
    "klipspringer": ("Oreotragus oreotragus", "klipspringer"),
    "kudu": ("Tragelaphus strepsiceros", "greater kudu"),
    "leopard": ("Panthera pardus", "leopard"),
    "lion": ("Panthera leo", "lion"),
    "lioncub": ("Panthera leo", "lion"),
    "lionfemale": ("Panthera leo", "lion"),
    "lionmale": ("Panthera leo", "lion"),
    "mongoosebanded": ("Mungos mungo", "banded mongoose"),
    "mongooseyellow": ("Cynictis penicillata", "yellow mongoose"),
    "monkeyvervet": ("Chlorocebus pygerythrus", "vervet monkey"),
    "ostrich": ("Struthio camelus", "ostrich"),
    "reedbuckmountain": ("Redunca fulvorufula", "mountain reedbuck"),
    "rhinocerosblack": ("Diceros bicornis", "black rhinoceros"),
    "secretarybird": ("Sagittarius serpentarius", "secretarybird"),
    "serval": ("Leptailurus serval", "serval"),
    "springbok": ("Antidorcas marsupialis", "springbok"),
    "steenbok": ("Raphicerus campestris", "steenbok"),
    "topi": ("Damaliscus lunatus", "topi"),
    "warthog": ("Phacochoerus africanus", "common warthog"),
    "waterbuck": ("Kobus ellipsiprymnus", "waterbuck"),
    "wildebeestblack": ("Connochaetes gnou", "black wildebeest"),
    "wildebeestblue": ("Connochaetes taurinus", "blue wildebeest"),
    "zebra": ("Equus quagga", "plains zebra"),
    "zebraburchells": ("Equus quagga", "plains zebra"),
    "zebramountain": ("Equus zebra", "mountain zebra"),
    "zebraplains": ("Equus quagga", "plains zebra"),
}
# Names that mean another species in each reserve.
LOCAL_SPECIES = {
    ("ENO", "baboon"): ("Papio anubis", "olive baboon"),
    ("MTZ", "baboon"): ("Papio ursinus", "chacma baboon"),
    ("MTZ", "porcupine"): ("Hystrix africaeaustralis", "Cape porcupine"),
}


def species_of(reserve: Reserve, category: str) -> tuple[str, str] | None:
    """Return scientific and common name of a category, or None where it is no single species.

    Example:
        >>> species_of(RESERVES[0], "baboon"), species_of(RESERVES[1], "baboon")
        (('Papio anubis', 'olive baboon'), ('Papio ursinus', 'chacma baboon'))
    """
    return LOCAL_SPECIES.get((reserve.code, category)) or SPECIES.get(category)
