"""What is served over HTTP on the metrics port: figures for Prometheus, a page for people. Nothing is changed here."""
