"""The system of a round: servers, proxies, workers, gateways, and processes that must live."""
