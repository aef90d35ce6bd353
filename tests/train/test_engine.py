"""The engine: bfloat16 only where the hardware computes it."""

import pytest
import torch
from tiny_training import tiny_config

from homerange.train.engine import make_fabric, supports_bfloat16


@pytest.fixture
def processor(monkeypatch):
    """Pretend to be a machine without a GPU whose processor has some capabilities."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def pretend(**capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    return pretend


def test_a_processor_with_amx_computes_bfloat16(processor):
    processor(amx_bf16=True)
    assert supports_bfloat16()
    assert make_fabric(tiny_config(precision="auto"))._precision.precision == "bf16-mixed"


def test_another_processor_does_not(processor):
    processor(avx2=True)
    assert not supports_bfloat16()
    assert make_fabric(tiny_config(precision="auto"))._precision.precision == "32-true"


def test_a_torch_that_cannot_say_counts_as_no(processor, monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    processor  # noqa: B018  (no GPU)
    assert not supports_bfloat16()


def test_a_gpu_is_asked_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for answer in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda answer=answer: answer)
        assert supports_bfloat16() is answer


def test_a_recipe_that_says_32_bit_gets_32_bit(processor):
    processor(amx_bf16=True)
    assert make_fabric(tiny_config(precision="32-true"))._precision.precision == "32-true"


def test_without_a_launcher_there_is_one_process():
    assert make_fabric(tiny_config()).world_size == 1
