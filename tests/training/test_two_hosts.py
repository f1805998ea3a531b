"""Two hosts, each a network namespace with an address of its own, train as one process does. Needs root on Linux with `ip`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.training.torchrun import ROOT, environment

pytestmark = pytest.mark.slow

HOSTS = {"tk-first": "10.231.7.1", "tk-second": "10.231.7.2"}


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    """The names of two hosts with their addresses, joined by one cable."""
    if sys.platform != "linux" or shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root on Linux, and the command ip")
    if not torch.distributed.is_available():
        pytest.skip("this torch was built without torch.distributed")
    try:
        try:
            for host in HOSTS:
                ip("netns", "add", host)
            ip("link", "add", "tk-a", "netns", "tk-first", "type", "veth", "peer", "name", "tk-b", "netns", "tk-second")
            for (host, address), card in zip(HOSTS.items(), ("tk-a", "tk-b"), strict=True):
                for words in (("addr", "add", f"{address}/24", "dev", card), ("link", "set", card, "up"), ("link", "set", "lo", "up")):
                    ip("-n", host, *words)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine makes no network namespaces: {error.stderr.decode().strip()}")
        yield HOSTS
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], capture_output=True)


def test_two_hosts_train_as_one_process_does(hosts, tmp_path):
    program = ["-m", "tests.training.together", "arrays"]
    together, alone = tmp_path / "together.json", tmp_path / "alone.json"
    running = []
    for number, (host, card) in enumerate(zip(hosts, ("tk-a", "tk-b"), strict=True)):
        node = ["--nnodes=2", f"--node_rank={number}", "--nproc_per_node=1", f"--master_addr={hosts['tk-first']}", "--master_port=29511"]
        command = ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", *node, *program, str(together)]
        env = environment(GLOO_SOCKET_IFNAME=card)
        running.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    try:
        for process in running:
            said, _ = process.communicate(timeout=240)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in running:
            process.kill()
    subprocess.run([sys.executable, *program, str(alone)], cwd=ROOT, env=environment(), check=True, timeout=240)
    found, expected = (json.loads(path.read_text())["arrays"] for path in (together, alone))
    for name, values in expected["history"].items():
        np.testing.assert_allclose(found["history"][name], values, rtol=2e-5, atol=1e-6, err_msg=name)
    for ours, theirs in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found["predict"], expected["predict"], rtol=2e-5, atol=2e-6)
