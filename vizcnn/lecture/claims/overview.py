"""The lecture's claims on years and error rates."""

from vizcnn.lecture.claim_measures import give_year
from vizcnn.lecture.claims.record import Claim, cite, judge
from vizcnn.lecture.published import read_published

SECTION = "overview"

_YEARS = (
    ("LeNet (1998)", "LeNet", "lenet-year", "1998"),
    ("AlexNet (2012)", "AlexNet", "alexnet-year", "2012"),
    ("VGG (2013)", "VGG", "vgg-year", "2013"),
    ("GoogLeNet (2014)", "GoogLeNet", "googlenet-year", "2014"),
    ("ResNet (2015)", "ResNet", "resnet-year", "2015"),
    ("Zeiler & Fergus, arXiv 2013", "ZFNet’s paper", "zfnet-year", "2013"),
    ("Simonyan & Zisserman, arXiv 2014", "VGG’s paper", "vgg-year", "2014"),
    (
        "From Szegedy et al., IEEE CVPR 2014",
        "GoogLeNet’s paper at CVPR",
        "googlenet-cvpr-year",
        "2014",
    ),
)
_NOTES = {
    "VGG (2013)": "arXiv 1409.1556 is of September 2014, as the lecture says further on.",
    "From Szegedy et al., IEEE CVPR 2014": "On arXiv in September 2014, at CVPR in 2015.",
}


def list_claims() -> list[Claim]:
    """Check the years; list the error rates of the depth figure with their sources."""
    told = read_published()
    rates = [(f"{row[1]}, {row[0]}", str(row[3])) for row in told.table("errors-by-year").rows]
    return [
        *(
            judge(
                SECTION, quote, f"year of {what}", year, give_year, name, why=_NOTES.get(quote, "")
            )
            for quote, what, name, year in _YEARS
        ),
        *(
            cite(
                SECTION,
                "icml2016_tutorial_deep_residual_networks",
                f"{item.unit}, {entry}",
                f"{item.value:g} %",
                told.cite(item),
                item.note,
            )
            for entry, item in ((entry, told.figure(name)) for entry, name in rates)
        ),
    ]
