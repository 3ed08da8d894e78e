"""What runs inside the sandboxes: a student's kernel that answers, and the tests that ask it. Values pass as text."""

import json
import resource


def lower_limits(given):
    """Lower limits of this process for good; `given` are their names and numbers, in JSON."""
    for name, limit in json.loads(given).items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(getattr(resource, name), (limit, limit))
