"""Keys of projects on Vertex AI."""

from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, Project
from gateway.policy.pool.vertex_key import VertexKey


def test_the_pool_lends_the_key_with_its_type() -> None:
    keys = KeyPool([Project("a", (VertexKey("AQ.x", "a"),), kind="vertex")], PoolConfig())

    key = keys.acquire("gemini-2.5-flash", 0.0).key

    assert isinstance(key, VertexKey)
    assert (key, key.project) == ("AQ.x", "a")
    assert not isinstance(str(key) + "", VertexKey)
