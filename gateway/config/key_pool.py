"""The key pool that the configuration describes."""

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Fault
from gateway.policy.keypool import KeyPool
from gateway.policy.pool_projects import Project


def key_pool(config: GatewayConfig, source: Source) -> KeyPool:
    """Return the pool of `pool.projects`, empty if there are none.

    Raises ConfigError for two projects of the same name, a key in two projects, and a gateway without any keys.
    """
    faults: list[Fault] = []
    owners: dict[str, str] = {}
    names: set[str] = set()
    for i, project in enumerate(config.pool.projects):
        if project.name in names:
            message = f"two projects are called {project.name!r}"
            faults.append(source.fault(("pool", "projects", i, "name"), message))
        names.add(project.name)
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
    projects = [
        Project(project.name, tuple(key.reveal() for key in project.keys), project.models)
        for project in config.pool.projects
    ]
    return KeyPool(projects, config.pool)
