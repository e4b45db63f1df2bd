"""The processor's name: from what Linux tells, in the forms of several makers."""

import platform

import pytest

from vizcnn.basics.machine import find_processor

INTEL = (
    "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Processor\n"
)
AMD = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\nstepping: 1\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (INTEL, "Intel(R) Xeon(R) Processor (family 6, model 143)"),
        (f"{AMD}\n{INTEL}", "AMD EPYC 7763 (family 25, model 1)"),
        ("model name: no more than a name", "no more than a name"),
    ],
)
def test_the_first_processor_is_named(tmp_path, told, name):
    (tmp_path / "cpuinfo").write_text(told)
    assert find_processor(tmp_path / "cpuinfo") == name


def test_an_arm_processor_has_numbers_in_place_of_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (tmp_path / "cpuinfo").write_text(ARM)
    assert find_processor(tmp_path / "cpuinfo") == "aarch64 (implementer 0x41, part 0xd40)"


def test_where_linux_does_not_tell_python_does(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert find_processor(tmp_path / "missing") == "arm"
