"""What the models can do, by the table that the gateway ships."""

from gateway.config.capabilities import shipped
from gateway.gemini.capabilities import CapabilityTable

TABLE = CapabilityTable(shipped())
