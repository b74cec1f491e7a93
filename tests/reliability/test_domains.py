"""Tests and benchmarks that run beside each other on a machine do not hear each other."""

import subprocess
import sys

import pytest
from robot import DOMAINS, Domains, DOMAINS_EACH, ROOT

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from robot import Domains
domains = Domains(Path(sys.argv[2]))
print(*(domains.next() for _ in range(12)), flush=True)
sys.stdin.read()
"""


def test_no_two_processes_have_the_same_domain_until_one_ends(tmp_path):
    program = [sys.executable, '-c', PROGRAM, ROOT / 'tools', tmp_path]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = {int(each) for each in other.stdout.readline().split()}
        ours: list[Domains] = []
        for _ in range(-(-(len(DOMAINS) - len(theirs)) // DOMAINS_EACH)):
            ours.append(Domains(tmp_path))
        taken = [{domains.next() for _ in range(DOMAINS_EACH)} for domains in ours]
        assert len(theirs) == DOMAINS_EACH
        assert (
            sum(map(len, taken)) + len(theirs) == len(set().union(theirs, *taken)) == len(DOMAINS)
        )
        with pytest.raises(RuntimeError, match=f'all ROS domains are in use: see {tmp_path}'):
            Domains(tmp_path).next()
    assert Domains(tmp_path).next() in theirs
    assert ours[0].next() in taken[0]  # its own ones come again
