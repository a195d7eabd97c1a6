"""A fleet under fire: gateways, workers, a broker and a database, killed, cut and paused while work goes through."""
