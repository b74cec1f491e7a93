"""Tests and benchmarks that run beside each other on a machine do not hear each other."""

import subprocess
import sys

import pytest
from robot import AT_REST, DOMAINS, Domains, ROOT

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from robot import Domains
domains = Domains(Path(sys.argv[2]))
print(*(domains.take() for _ in range(12)), flush=True)
sys.stdin.read()
"""


def test_no_two_processes_have_the_same_domain_until_one_ends(tmp_path):
    program = [sys.executable, '-c', PROGRAM, ROOT / 'tools', tmp_path]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = {int(each) for each in other.stdout.readline().split()}
        domains = Domains(tmp_path)
        ours = {domains.take() for _ in range(len(DOMAINS) - len(theirs))}
        assert len(theirs) == 12 and sorted(theirs | ours) == [*DOMAINS]
        with pytest.raises(RuntimeError, match=f'all ROS domains are in use: see {tmp_path}'):
            domains.take()
    assert Domains(tmp_path).take() in theirs


def test_a_domain_is_taken_again_once_it_has_ended_and_others_have_too(tmp_path):
    domains = Domains(tmp_path)
    living = domains.take()
    ended = []
    for _ in range(3 * AT_REST):
        ended.append(domains.take())
        domains.end(ended[-1])
    assert len({*ended}) == AT_REST and living not in ended
    assert ended[AT_REST:] == 2 * ended[:AT_REST]  # the one that ended first comes first
