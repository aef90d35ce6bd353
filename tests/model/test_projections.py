"""The projections of the location stage, read again: torch's own modules as judge, and messages."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from homerange.errors import CheckpointError
from homerange.model.projections import (
    PROJECTIONS,
    project,
    read_projections,
    save_projections,
)


class Stage(nn.Module):
    """What the stage trains, under its names, for blocks of 4 and 7 channels."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.project = nn.ModuleList([nn.Linear(6, 4), nn.Linear(6, 7)])
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)


@pytest.fixture
def stage():
    torch.manual_seed(0)
    return Stage()


@pytest.mark.parametrize(("channels", "block"), [(4, 0), (7, 1)])
def test_what_is_read_projects_as_what_was_trained(stage, channels, block, tmp_path):
    save_projections(stage.state_dict(), tmp_path)
    place_NF = torch.randn(5, 6)
    with torch.no_grad():
        expected = functional.normalize(stage.project[block](stage.norm(place_NF)).relu(), dim=1)
    found = project(read_projections(tmp_path), place_NF, channels)
    torch.testing.assert_close(found, expected)
    assert not expected.allclose(project(stage.state_dict(), -place_NF, channels))


def test_a_layer_that_places_did_not_supervise_is_refused(stage):
    with pytest.raises(CheckpointError) as caught:
        project(stage.state_dict(), torch.zeros(1, 6), 5)
    assert "take 6 features and give [4, 7] channels; expected 6 and 5" in str(caught.value)


def test_another_location_encoder_is_refused(stage):
    with pytest.raises(CheckpointError, match=r"take 6 features .* expected 8 and 4"):
        project(stage.state_dict(), torch.zeros(1, 8), 4)


def test_a_checkpoint_without_projections_says_where_they_come_from(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no location\.safetensors\. Give a checkpoint"):
        read_projections(tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / PROJECTIONS).write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="damaged"):
        read_projections(tmp_path)
