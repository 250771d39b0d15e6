"""The key pool that the configuration describes."""

from collections.abc import Iterator

from gateway.config.sections import GatewayConfig, ProjectConfig
from gateway.config.source import Source
from gateway.config.vertex import vertex_faults
from gateway.errors import ConfigError, Fault
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import Project
from gateway.policy.pool.vertex_key import VertexKey


def key_pool(config: GatewayConfig, source: Source) -> KeyPool:
    """Return the pool of `pool.projects`, empty if there are none.

    Raises ConfigError for two projects of the same name, a key in two projects, a project without keys or with a
    contradiction in `vertex`, and a gateway without any keys.
    """
    faults: list[Fault] = []
    owners: dict[str, str] = {}
    names: set[str] = set()
    for i, project in enumerate(config.pool.projects):
        if project.name in names:
            message = f"two projects are called {project.name!r}"
            faults.append(source.fault(("pool", "projects", i, "name"), message))
        names.add(project.name)
        faults += [
            source.fault(
                ("pool", "projects", i, *place), ".".join(("pool.projects", str(i), *place)) + f": {text}"
            )
            for place, text in _project_faults(project)
        ]
        for j, key in enumerate(project.keys):
            owner = owners.setdefault(key.reveal(), project.name)
            if owner != project.name:
                message = f"the same key is in project {owner!r}: a key belongs to one project"
                faults.append(source.fault(("pool", "projects", i, "keys", j), message))
    if not config.auth.passthrough and not config.pool.projects:
        message = "without auth.passthrough, pool.projects must list at least one project"
        faults.append(source.fault(("auth", "passthrough"), message))
    if faults:
        raise ConfigError(tuple(faults))
    return KeyPool([_project(project) for project in config.pool.projects], config.pool)


def _project_faults(project: ProjectConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    if project.vertex is not None:
        yield from vertex_faults(project.vertex, keys=len(project.keys))
    elif not project.keys:
        yield ("keys",), "expected at least one key"


def _project(project: ProjectConfig) -> Project:
    keys = [key.reveal() for key in project.keys]
    if project.vertex is None:
        return Project(project.name, tuple(keys), project.models)
    if project.vertex.project is not None:
        keys = [project.vertex.name]
    return Project(
        project.name, tuple(VertexKey(key, project.name) for key in keys), project.models, "vertex"
    )
