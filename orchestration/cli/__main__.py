"""`python -m orchestration.cli`: the same as `rcu`."""

from orchestration.cli import main

main()
