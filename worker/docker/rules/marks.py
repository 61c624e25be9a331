"""Request bodies and queries with the marks of the run, whatever the job says."""

from urllib.parse import quote, unquote_plus

from worker.docker.rules.go_json import Object
from worker.docker.rules.refused import bad_request
from worker.docker.scope import LABEL, Scope


def mark_container(config: Object, host_config: Object, scope: Scope) -> None:
    """Put the label and the cgroup parent into the request to create a container."""
    label(config, scope)
    host_config.put("CgroupParent", scope.cgroup_parent)
    config.put("HostConfig", host_config)


def label(config: Object, scope: Scope) -> None:
    """Put the label into the request to create a container, a network or a volume."""
    labels = config.nested("Labels")
    labels.put_key(LABEL, str(scope.launch_id))
    config.put("Labels", labels)


def mark_build(query: str | None, scope: Scope) -> str:
    """The query of a classic build with the cgroup parent of the run, and no other."""
    pairs = (query or "").split("&")
    if any(";" in pair for pair in pairs):
        # Old versions of Go take it for a separator, others drop such a pair.
        raise bad_request("the query has a semicolon")
    kept = [each for each in pairs if each and _key(each) != "cgroupparent"]
    return "&".join([*kept, f"cgroupparent={quote(scope.cgroup_parent, safe='')}"])


def _key(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0]).casefold()
