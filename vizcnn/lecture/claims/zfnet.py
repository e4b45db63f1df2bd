"""The lecture's claims on ZFNet."""

from vizcnn.lecture.claim_measures import find_filter, list_maps, reduce_published
from vizcnn.lecture.claims.record import Claim, cite, judge
from vizcnn.lecture.published import read_published

SECTION = "zfnet"
_CLARIFAI = (
    "11.7 % is Clarifai’s entry that won ILSVRC 2013; the paper’s own best, six nets, has 14.8 %, "
    "and 16.4 % is five nets."
)
_WIDE = (
    "!True of the larger net of section 5.1; the net of the paper’s Figure 3 has AlexNet’s 384, "
    "384, 256."
)


def list_claims() -> list[Claim]:
    """Check the lecture's slides on ZFNet."""
    told = read_published()
    deep = ("conv3", "conv4", "conv5")
    return [
        judge(
            SECTION,
            "7x7 filters at stride 2",
            "window of conv1",
            "7×7×3, stride 2",
            find_filter,
            "zfnet",
            "conv1",
        ),
        judge(
            SECTION,
            "AlexNet: 11x11 filters at stride 4",
            "window of AlexNet’s conv1",
            "11×11×3, stride 4",
            find_filter,
            "alexnet",
            "conv1",
        ),
        judge(
            SECTION,
            "have 512, 1024, and 512 filters",
            "maps of conv3, conv4, conv5",
            "512, 1024, 512",
            list_maps,
            "zfnet",
            *deep,
            why=_WIDE,
        ),
        judge(
            SECTION,
            "AlexNet: 384, 384, 256",
            "maps of AlexNet’s conv3, conv4, conv5",
            "384, 384, 256",
            list_maps,
            "alexnet",
            *deep,
        ),
        cite(
            SECTION,
            "Dropped error rate from 16.4%",
            "top-5 error of ILSVRC 2012",
            "16.4 %",
            told.cite(told.figure("ilsvrc-2012")),
        ),
        cite(
            SECTION,
            "to 11.7%",
            "top-5 error of ILSVRC 2013",
            "11.7 %",
            told.cite(told.figure("ilsvrc-2013")),
            _CLARIFAI,
        ),
        judge(
            SECTION,
            "approximately a 30% reduction in error",
            "relative reduction from 16.4 to 11.7 (per cent)",
            "~30%",
            reduce_published,
            "ilsvrc-2012",
            "ilsvrc-2013",
        ),
    ]
