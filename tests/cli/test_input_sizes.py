"""The pages of one net show it at one size."""

import json

import pytest

from tests.support.command_line import run


@pytest.mark.slow
def test_receptive_fields_are_measured_at_the_size_at_which_deconv_shows_the_net(tmp_path):
    """Trained weights may have an input of their own: bundled ZFNet sees 128 pixels, not 224."""
    nets = [
        json.loads(run(*words, "--layer", "conv1", "--out", tmp_path / words[0], "--json").stdout)[
            "manifest"
        ]["nets"][0]
        for words in (("receptive",), ("deconv", "--top", 1, "--compare", "none"))
    ]
    assert nets[0] == nets[1]
    assert nets[0]["input_size"] == [128, 128]
